"""The way back from a change that did harm.

The agent applies the last good state again, which also brings back what was removed. Then it takes back what that
state says nothing about: it removes what the change created, and puts back as it was found what the change changed for
the first time. If the host is no better for it, the change may not be to blame: it is put in doubt, and tried again
later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from agent.converge import health_source, rules_now, run_phases
from agent.deploys.kind import DEEDS
from agent.domain.account import Account, Milestone, Rollback
from agent.domain.deploy_errors import deploy_errors
from agent.domain.desired import DesiredState
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.removal import Fate, Removal
from agent.domain.trial import Bad, Trial
from agent.host.ledger import Ledger
from agent.phases import Course, Cycle, TrialVerdict, account_of
from agent.select_target import resolved
from agent.steps import trial as trials
from agent.steps.choose import Target, kept_out
from agent.steps.record import wanted_by
from agent.steps.remove import carry_out, fate_before, in_order
from agent.steps.verify import recall

_UNDONE = frozenset({Fate.REMOVE, Fate.RESTORE})


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
    checks = trials.checks_alone(verdict.course.state, verdict.health, verdict.harm)
    bad = Bad(trial.digest, trial.commit, cycle.parts.clock(), harm, times=times, checks=checks)
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
    removed, stays = _take_off(cycle.parts.ledger, planned.state, trial.at, wanted, rollback.attempted)
    cycle.log.reached(Milestone.WENT_BACK)
    source = health_source(cycle, planned.state)
    health, reasons = trials.watch_health(trial, source, settle_s=cycle.settle_s, to_the_end=False)
    bad = rollback.bad
    if (reasons or rollback.failed_alike(converged.outcome)) and not bad.never_ended:
        bad = bad.in_doubt(cycle.parts.clock())
        cycle.parts.memory.keep_bad(bad)
        target = replace(target, hold=bad.hold)
    cycle.log.note([trials.rolled_back(bad, rollback.to)])
    cycle.parts.memory.keep_trial(None)
    rollback = replace(rollback, bad=bad, removed=removed, stays=stays)
    return replace(verdict, course=replace(course, target=target, rollback=rollback), health=health)


def _take_off(
    ledger: Ledger, state: DesiredState, since: int, wanted: Collection[str], attempted: Account | None
) -> tuple[tuple[Removal, ...], tuple[str, ...]]:
    """Take back the entries that came into the ledger from ``since`` on, in seconds since the epoch. Return the
    removals that were done, after which each resource is gone or as it was, and what could not be undone, a line each.

    ``wanted``: keys of resources that ``state``, the last good one, wants; they stay. ``attempted``: the account of the
    attempt, if there is one. Raises OSError when the ledger cannot be written.
    """
    brought = [
        entry
        for entry in ledger.entries()
        if entry.at >= since and entry.standing is Standing.OWNED and entry.key not in wanted
    ]
    found = carry_out((_undone(entry) for entry in in_order(brought)), ledger, state, wanted=wanted)
    stays = [f"{key}: {reason}" for key, reason in found.refused.items()]
    stays += [f"{each.entry.key}: {each.reason}" for each in found.done if each.fate not in _UNDONE]
    stays += [f"{entry.key}: {failure.reason}" for failure in found.failed for entry in failure.entries]
    stays += [*found.reloaded.failed, *(_deeds(attempted) if attempted is not None else ())]
    return tuple(each for each in found.done if each.fate in _UNDONE), tuple(stays)


def _undone(entry: LedgerEntry) -> Removal:
    found = fate_before(entry, attempt=True)
    if found.fate is Fate.RESTORE:
        return replace(found, reason="put back as it was")
    return replace(found, fate=Fate.ORPHAN) if found.reason and entry.origin is Origin.CREATED else found


def _deeds(attempted: Account) -> Iterator[str]:
    """The changes of the attempt that nothing can undo, a line each: commands, upgrades, operations that own
    nothing."""
    for result in attempted.outcome.changed:
        if result.resource.partition(":")[0] in DEEDS:
            yield f"{result.resource}: {result.operation}"
    unowned = {planned.deploy: planned.unowned for planned in attempted.planned if planned.unowned}
    for deploy in {result.deploy for result in attempted.outcome.changed}:
        if deploy in unowned:
            yield f"{deploy}: what {unowned[deploy]} of its operations did, which own nothing"
