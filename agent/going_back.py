"""The way back from a change that did harm.

The agent applies the last good state again, which also brings back what was removed. Then it removes what the change
brought. If the host is no better for it, the change may not be to blame: it is put in doubt, and tried again later.
"""

from __future__ import annotations

from dataclasses import replace

from agent.converge import health_source, rules_now, run_phases
from agent.domain.account import Account, Milestone, Rollback
from agent.domain.deploy_errors import deploy_errors
from agent.domain.trial import Bad, Trial
from agent.phases import Course, Cycle, TrialVerdict, account_of
from agent.select_target import resolved
from agent.steps import trial as trials
from agent.steps.choose import Target, kept_out
from agent.steps.record import wanted_by
from agent.steps.roll_back import roll_back
from agent.steps.verify import recall


def take_back(cycle: Cycle, verdict: TrialVerdict, trial: Trial, account: Account, *, doubtful: bool) -> TrialVerdict:
    """Remember a change that did harm as bad, and go back to the last good state. Where there is none, the host keeps
    the change. ``account``: that of the attempt. ``doubtful``: True if something else may be to blame. Return the
    verdict with the course of the way back."""
    memory, harm = cycle.parts.memory, "; ".join(verdict.harm)
    good = _last_good(cycle, verdict.course)
    if good is None or good.resolution.state.digest == trial.digest:
        cycle.log.note([trials.nothing_to_go_back_to(trial.commit, harm)])
        memory.keep_trial(None)
        return verdict
    earlier = memory.bad().get(trial.digest)
    times = earlier.times + 1 if earlier is not None else 1
    bad = Bad(trial.digest, trial.commit, cycle.parts.clock(), harm, times=times)
    bad = bad.in_doubt(cycle.parts.clock()) if doubtful else bad
    memory.keep_bad(bad)
    rollback = Rollback(bad, good.resolution.commit.sha, account)
    verdict = _go_back(cycle, verdict, replace(good, hold=bad.hold), rollback)
    with cycle.log.surviving():
        return finish_going_back(cycle, verdict, trial)
    return verdict


def _last_good(cycle: Cycle, course: Course) -> Target | None:
    """The last state that the host was well with, as a target; None without one. Accounts that the attempt takes away
    stay away."""
    sha = cycle.parts.memory.applied().good_commit
    last = cycle.selection.trusted.sha if cycle.selection.trusted is not None else cycle.parts.memory.trust().last
    if sha is None or last is None:
        return None
    good = resolved(cycle.parts, recall(sha, mirror=cycle.parts.mirror, last=last))
    return Target(replace(good, state=kept_out(good.state, course.state or good.state)))


def _go_back(cycle: Cycle, verdict: TrialVerdict, good: Target, rollback: Rollback) -> TrialVerdict:
    """Apply the last good state again, also outside of windows and on a suspended host."""
    attempted, known = verdict.course, cycle.parts.memory.applied().deploys
    applied = attempted.converged.applied if attempted.converged is not None else known
    # An operation found not idempotent only in the attempt is not known to be so in the last good state.
    habits = {name: entry.not_idempotent for name, entry in known.items()}
    before = {
        name: replace(entry, not_idempotent=tuple(key for key in entry.not_idempotent if key in habits.get(name, ())))
        for name, entry in applied.items()
    }
    rules = replace(rules_now(cycle.parts, good, waits_for_backoff=False), failing={})
    back = run_phases(cycle, Course(good, trial=attempted.trial, rollback=rollback), rules, before)
    verdict = replace(verdict, course=back)
    helpless = rollback.failed_alike(back.outcome)
    for failure in deploy_errors(account_of(cycle, verdict)):
        told = failure if helpless else trials.rollback_failed(rollback.bad, rollback.to, failure.message)
        cycle.log.note([told])
    return verdict


def finish_going_back(cycle: Cycle, verdict: TrialVerdict, trial: Trial) -> TrialVerdict:
    """Remove what the attempt brought, and look whether the host is well again. Where a phase raised on the way back,
    do neither: the next cycle takes the way back up again."""
    course = verdict.course
    rollback, planned, converged, target = course.rollback, course.planned, course.converged, course.target
    if rollback is None or planned is None or converged is None or target is None:
        return verdict
    wanted = wanted_by(planned.state, converged.after, converged.applied)
    done = roll_back(cycle.parts.ledger, planned.state, since=trial.at, wanted=wanted, attempted=rollback.attempted)
    cycle.log.reached(Milestone.WENT_BACK)
    source = health_source(cycle, planned.state)
    health, reasons = trials.watch_health(trial, source, settle_s=cycle.settle_s, to_the_end=False)
    bad = rollback.bad
    if (reasons or rollback.failed_alike(converged.outcome)) and not bad.forlorn:
        bad = bad.in_doubt(cycle.parts.clock())
        cycle.parts.memory.keep_bad(bad)
        target = replace(target, hold=bad.hold)
    cycle.log.note([trials.rolled_back(bad, rollback.to)])
    cycle.parts.memory.keep_trial(None)
    rollback = replace(rollback, bad=bad, removed=done.removed, stays=done.stays)
    return replace(verdict, course=replace(course, target=target, rollback=rollback), health=health)
