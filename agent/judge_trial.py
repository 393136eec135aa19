"""judge_trial: turns an intended change into a confirmed one, or takes it back.

An intended change is confirmed when the host is well with it after a while, and again after what left Git with it has
gone. One that did harm is taken back: the last good state is applied again, which brings back what was removed, what
the attempt brought is removed, and its digest is remembered as bad. Where that does not help either, the change may not
be to blame: the verdict is withdrawn and it is tried again later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.converge import health_source, make_so, rules_now
from agent.domain.account import Milestone, Rollback, Trigger
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Status
from agent.domain.trial import Bad, Trial
from agent.parts import Parts
from agent.phases import Course, Cycle, Removed, TrialVerdict, compose
from agent.problems import ProblemKind
from agent.select_target import resolved
from agent.steps import trial as trials
from agent.steps.choose import Target
from agent.steps.confirm import failures
from agent.steps.lock_out import kept_out
from agent.steps.prune import OnRemoveRunner, prune
from agent.steps.record import wanted_by
from agent.steps.roll_back import roll_back
from agent.steps.verify import recall


def mark_crashed_attempts(parts: Parts) -> None:
    """An attempt that has not ended as often as one may is bad from now on."""
    trial = parts.memory.trial()
    if trial is not None and trial.out_of_tries and trial.digest not in parts.memory.bad():
        parts.memory.keep_bad(trials.did_not_end(trial, parts.clock()))


def judge_trial(cycle: Cycle, course: Course) -> TrialVerdict:
    """Looks at how the host is, and judges the intended change, if there was one. Where the host is well so far, the
    trial stays open for what is removed; where the change did harm, the host goes back."""
    verdict = TrialVerdict(course)
    with cycle.log.surviving():
        if course.trial is None:
            source = health_source(cycle, course.state)
            settled = not (source.stopped() or _waits(cycle, course))
            verdict = replace(verdict, health=source.health(), settled=settled)
        elif course.rollback is not None:
            verdict = _come_back(cycle, verdict, course.trial)
        else:
            outcome = compose(cycle, verdict).outcome
            failed, doubtful = trials.broken(course.trial, outcome, cycle.parts.memory.state().attempts)
            to_the_end = not trials.settles_at_once(outcome)
            verdict = _watch(cycle, verdict, course.trial, failed=failed, to_the_end=to_the_end)
            if verdict.harm:
                verdict = _end_trial(cycle, verdict, course.trial, doubtful=doubtful)
    cycle.log.reached(Milestone.JUDGED)
    return verdict


def _waits(cycle: Cycle, course: Course) -> bool:
    """True where the state is on a trial that was cut off, and nothing may be judged: the host is suspended."""
    trial = cycle.parts.memory.trial()
    return trial is not None and course.state is not None and trial.digest == course.state.digest


def remove_what_left(cycle: Cycle, verdict: TrialVerdict) -> Removed:
    """Removes what has left Git, on the trial of the commit that it left with."""
    parts, target = cycle.parts, cycle.selection.target
    if target is None:
        return Removed()
    last = cycle.selection.trusted or target.resolution.commit
    pruned = None
    with cycle.log.surviving():
        pruned = prune(
            compose(cycle, verdict),
            before=parts.memory.applied(),
            idle=target.resolution.terms.idle,
            memory=parts.memory.state(),
            ledger=parts.ledger,
            on_remove=OnRemoveRunner(
                parts.engine,
                parts.exports,
                parts.mirror,
                parts.progress,
                last.sha,
                parts.settings.inventory,
            ),
            now=parts.clock(),
            waits_for_backoff=cycle.trigger is Trigger.CLOCK,
            begin=lambda: _begin_removal(cycle, verdict),
        )
        cycle.log.note(pruned.failures)
        cycle.log.reached(Milestone.PRUNED)
    with cycle.log.surviving():
        trial, state = parts.memory.trial(), verdict.course.state
        if trial is not None and state is not None and trial.digest == state.digest:
            return Removed(pruned, trial)
    return Removed(pruned)


def judge_removal(cycle: Cycle, verdict: TrialVerdict, removed: Removed) -> tuple[TrialVerdict, bool]:
    """Ends the trial of a change that was well until something was removed: watches again where that was so. Returns
    whether the host went back now, too."""
    course, pruned, trial = verdict.course, removed.pruned, removed.trial
    if course.rollback is not None or verdict.harm or not verdict.settled or verdict.health is None:
        return verdict, False
    changed = pruned is None or pruned.changed
    with cycle.log.surviving():
        if trial is not None and changed:
            failed = pruned.told.failed if pruned is not None else ()
            to_the_end = pruned is None or not trials.removal_settles_at_once(pruned)
            verdict = _watch(cycle, verdict, trial, failed=failed, to_the_end=to_the_end)
        elif changed:
            verdict = replace(verdict, health=health_source(cycle, course.state).health())
        if trial is not None:
            verdict = _end_trial(cycle, verdict, trial, removed)
    return verdict, verdict.course.rollback is not None


def _watch(
    cycle: Cycle, verdict: TrialVerdict, trial: Trial, *, failed: tuple[str, ...], to_the_end: bool
) -> TrialVerdict:
    """``verdict`` with what speaks against the change by the time that the host has settled. Where the cycle is to end
    before, the next one judges it."""
    source = health_source(cycle, verdict.course.state)
    settle_s = 0 if failed else _settle_s(cycle)  # what has failed need not be waited for
    # Where there is nothing to go back to, well is well: nobody would act on what falls a while later.
    to_the_end = to_the_end and cycle.parts.memory.applied().good_commit is not None
    health, signs = trials.watch(trial, source, settle_s=settle_s, to_the_end=to_the_end)
    settled = not source.stopped()
    if not settled:
        # Nobody has seen it settle: this try does not count.
        cycle.parts.memory.keep_trial(replace(trial, tries=trial.tries - 1))
    return replace(verdict, health=health, harm=(*failed, *signs), settled=settled)


def _end_trial(
    cycle: Cycle,
    verdict: TrialVerdict,
    trial: Trial,
    removed: Removed | None = None,
    *,
    doubtful: bool = False,
) -> TrialVerdict:
    """Confirms the change, or goes back where it did harm."""
    memory, harm = cycle.parts.memory, "; ".join(verdict.harm)
    if not verdict.settled:
        return verdict
    account = compose(cycle, verdict, removed)
    if not harm:
        # What did not come to be has shown nothing: a doubt stays until it has.
        if all(account.outcome.status(name) is not Status.FAILED for name in trial.touched):
            memory.forgive(trial.digest)
        memory.keep_trial(None)
        return verdict
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
        return _come_back(cycle, verdict, trial)
    return verdict


def _begin_removal(cycle: Cycle, verdict: TrialVerdict) -> None:
    """Puts what is about to be removed on the trial of its commit, also where nothing else of that changes the host.
    What has waited until its commit is the good one is on none: there is nothing older to go back to."""
    course = verdict.course
    if course.state is None or verdict.health is None:
        return
    if course.trial is None:
        if course.state.digest == cycle.parts.memory.applied().good:
            return
        last = cycle.parts.memory.state()
        if last.aimed_digest != course.state.digest or last.cause[0] != ProblemKind.NOT_PRUNED:
            cycle.parts.reporter.attempting(compose(cycle, verdict))  # not each time that it is tried in vain
    trial = trials.begin_removal_trial(
        course.trial, course.state, verdict.health, remote=cycle.parts.remote_answers, now=cycle.parts.clock()
    )
    cycle.parts.memory.keep_trial(trial)


def _go_back(cycle: Cycle, verdict: TrialVerdict, good: Target, rollback: Rollback) -> TrialVerdict:
    """Applies the last good state again, whatever windows and suspensions say."""
    attempted, known = verdict.course, cycle.parts.memory.applied().deploys
    applied = attempted.converged.applied if attempted.converged is not None else known
    # What the attempt left wanting is no habit of the state that the host goes back to.
    before = {
        name: replace(entry, not_idempotent=tuple(key for key in entry.not_idempotent if key in _habits(known, name)))
        for name, entry in applied.items()
    }
    rules = replace(rules_now(cycle.parts, good, waits_for_backoff=False), failing={})
    back = make_so(cycle, Course(good, trial=attempted.trial, rollback=rollback), rules, before)
    verdict = replace(verdict, course=back)
    account = compose(cycle, verdict)
    helpless = rollback.failed_alike(account.outcome)
    for failure in failures(account):
        told = failure if helpless else trials.rollback_failed(rollback.bad, rollback.to, failure.message)
        cycle.log.note([told])
    return verdict


def _habits(known: Mapping[str, AppliedDeploy], name: str) -> tuple[str, ...]:
    return known[name].not_idempotent if name in known else ()


def _come_back(cycle: Cycle, verdict: TrialVerdict, trial: Trial) -> TrialVerdict:
    """Removes what the attempt brought, and looks whether going back has helped. Nothing of that where the last good
    state could not be applied: the next cycle takes it up again."""
    course = verdict.course
    rollback, planned, converged, target = course.rollback, course.planned, course.converged, course.target
    if rollback is None or planned is None or converged is None or target is None:
        return verdict
    wanted = wanted_by(planned.state, converged.after, converged.applied)
    done = roll_back(cycle.parts.ledger, planned.state, since=trial.at, wanted=wanted, attempted=rollback.attempted)
    cycle.log.reached(Milestone.WENT_BACK)
    source = health_source(cycle, planned.state)
    health, reasons = trials.watch(trial, source, settle_s=_settle_s(cycle), to_the_end=False)
    bad = rollback.bad
    if (reasons or rollback.failed_alike(converged.outcome)) and not bad.forlorn:
        bad = bad.in_doubt(cycle.parts.clock())
        cycle.parts.memory.keep_bad(bad)
        target = replace(target, hold=bad.hold)
    cycle.log.note([trials.rolled_back(bad, rollback.to)])
    cycle.parts.memory.keep_trial(None)
    rollback = replace(rollback, bad=bad, removed=done.removed, stays=done.stays)
    return replace(verdict, course=replace(course, target=target, rollback=rollback), health=health)


def _last_good(cycle: Cycle, course: Course) -> Target | None:
    """The state that the host was last well with, but for whom the attempt locks out."""
    sha = cycle.parts.memory.applied().good_commit
    last = cycle.selection.trusted.sha if cycle.selection.trusted is not None else cycle.parts.memory.trust().last
    if sha is None or last is None:
        return None
    good = resolved(cycle.parts, recall(sha, mirror=cycle.parts.mirror, last=last))
    return Target(replace(good, state=kept_out(good.state, course.state or good.state)))


def _settle_s(cycle: Cycle) -> int:
    return (cycle.selection.fleet or cycle.parts.memory.state().fleet).settle_s
