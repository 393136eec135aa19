"""The phase ``remove_what_left``: what has left Git is removed, on the trial of the commit that it left with."""

from __future__ import annotations

from agent.converge import host_policies
from agent.domain.account import Milestone, Trigger
from agent.phases import Cycle, Removed, TrialVerdict, account_of
from agent.problems import ProblemKind
from agent.steps import trial as trials
from agent.steps.prune import OnRemoveRunner, prune


def remove_what_left(cycle: Cycle, verdict: TrialVerdict) -> Removed:
    """Removes what has left Git, on the trial of the commit that it left with."""
    parts, target = cycle.parts, cycle.selection.target
    if target is None:
        return Removed()
    last = cycle.selection.trusted or target.resolution.commit
    course, pruned = verdict.course, None
    policies_of_plan = course.planned.policies if course.planned is not None else None
    policies = policies_of_plan or host_policies(parts, course.target or target)
    failed_before = policies.failure
    with cycle.log.surviving():
        pruned = prune(
            account_of(cycle, verdict),
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
            hold_denied=policies.hold_denied,
            hold_named=policies.hold_named,
            begin=lambda: _begin_removal(cycle, verdict),
        )
        cycle.log.note(pruned.failures)
        if policies.failure is not None and failed_before is None:
            cycle.log.note([policies.failure])
        cycle.log.reached(Milestone.PRUNED)
    with cycle.log.surviving():
        trial, state = parts.memory.trial(), verdict.course.state
        if trial is not None and state is not None and trial.digest == state.digest:
            return Removed(pruned, trial)
    return Removed(pruned)


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
            cycle.parts.reporter.attempting(account_of(cycle, verdict))  # not each time that it is tried in vain
    trial = trials.begin_removal_trial(
        course.trial, course.state, verdict.health, remote=cycle.parts.remote_answers, now=cycle.parts.clock()
    )
    cycle.parts.memory.keep_trial(trial)
