"""The phase ``remove_unwanted``: the agent removes what no deploy wants any more, because it has left Git.

The removal is on trial like a change: if it does harm, the host goes back, and has the things again.
"""

from __future__ import annotations

from agent.converge import host_policies
from agent.domain.account import Milestone, Trigger
from agent.domain.removal import Pruned
from agent.phases import Cycle, TrialVerdict, account_of
from agent.problems import ProblemKind
from agent.steps import trial as trials
from agent.steps.prune import OnRemoveRunner, prune


def remove_unwanted(cycle: Cycle, verdict: TrialVerdict) -> Pruned | None:
    """Remove what has left Git, and return the results. None where there is no target, or something raised."""
    parts, target = cycle.parts, cycle.selection.target
    if target is None:
        return None
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
    return pruned


def _begin_removal(cycle: Cycle, verdict: TrialVerdict) -> None:
    """Begin a trial of the commit, or widen the open one, because something is about to be removed. Begin none if the
    commit is the last good one already: then there is nothing older to go back to."""
    course = verdict.course
    if course.state is None or verdict.health is None:
        return
    if course.trial is None:
        if course.state.digest == cycle.parts.memory.applied().good:
            return
        last = cycle.parts.memory.state()
        if last.aimed_digest != course.state.digest or last.cause[0] != ProblemKind.NOT_PRUNED:
            # Reported once, and not in each cycle that tries to remove the same in vain.
            cycle.parts.reporter.attempting(account_of(cycle, verdict))
    trial = trials.begin_removal_trial(
        course.trial, course.state, verdict.health, remote=cycle.parts.remote_answers, now=cycle.parts.clock()
    )
    cycle.parts.memory.keep_trial(trial)
