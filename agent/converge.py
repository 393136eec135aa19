"""The phases from ``plan_changes`` to ``confirm_changes``: they bring the host to a target.

``converge`` runs them for the target of the cycle, ``agent.going_back`` for the last good state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.domain.account import Milestone, Rollback, Trigger
from agent.domain.desired import DesiredState
from agent.domain.health import Health
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import Plan
from agent.domain.trial import Trial
from agent.domain.window import OPEN
from agent.parts import Parts
from agent.phases import Converged, Course, Cycle, Planned, TrialVerdict, account_of
from agent.steps import trial as trials
from agent.steps.apply import apply
from agent.steps.choose import Target
from agent.steps.confirm import confirm
from agent.steps.deny import HostPolicies
from agent.steps.permit import PermitRules, permit, permit_rules
from agent.steps.plan import make_plan
from agent.steps.probe import probe
from agent.steps.reach import MadeChanges, stirred_later
from agent.steps.record import record_result
from agent.steps.trial import HealthSource


def converge(cycle: Cycle) -> Course:
    """Bring the host to the target of the cycle, as far as that is permitted. Return the values of the phases."""
    target, memory = cycle.selection.target, cycle.parts.memory
    if target is None:
        return Course()
    course = Course(target)
    with cycle.log.surviving():
        course = _resume(cycle.parts, target)
        # A new desired state may have mended what a failing deploy reads, so its deploys are tried at once.
        same = memory.state().aimed_digest == target.resolution.state.digest
        waits_for_backoff = cycle.trigger is Trigger.CLOCK and same
        rules = rules_now(cycle.parts, course.target or target, waits_for_backoff=waits_for_backoff)
        return run_phases(cycle, course, rules, memory.applied().deploys)
    return course


def _resume(parts: Parts, target: Target) -> Course:
    """Return the course to go on with where a crash cut one off; else a new course. Where the trial of this very state
    was cut off, write down one more try of it."""
    trial, bad = parts.memory.trial(), parts.memory.bad()
    if trial is None or target.suspension is not None:
        return Course(target)
    if target.hold is not None and trial.digest in bad:
        # Cut off on the way back. The target is the last good state already, and no window holds up the way back.
        rollback = Rollback(bad[trial.digest], target.resolution.commit.sha)
        return Course(replace(target, gate=OPEN), trial=trial, rollback=rollback)
    if trial.digest == target.resolution.state.digest:
        # Cut off before the change was judged. This is one more try, also where nothing is left to apply.
        trial = replace(trial, tries=trial.tries + 1)
        parts.memory.keep_trial(trial)
        return Course(target, trial=trial)
    return Course(target)


def run_phases(cycle: Cycle, course: Course, rules: PermitRules, before: Mapping[str, AppliedDeploy]) -> Course:
    """Run the phases for the target of ``course``. Return ``course`` with their values; where one raises, with those of
    the phases before it. ``before``: by deploy, what is remembered as applied. On the way back the trial is open
    already."""
    assert course.target is not None
    with cycle.log.surviving():
        planned = plan_changes(cycle.parts, course.target, rules, before, going_back=course.rollback is not None)
        if planned.policies is not None and planned.policies.failure is not None:
            cycle.log.note([planned.policies.failure])
        cycle.log.reached(Milestone.PERMITTED)
        course = replace(course, planned=planned)
        if course.rollback is None:
            course = replace(course, trial=begin_change(cycle, course))
        course = replace(course, outcome=apply_changes(cycle.parts, planned))
        converged = confirm_changes(cycle.parts, planned, course.outcome)
        course = replace(course, outcome=converged.outcome, converged=converged)
        if course.trial is not None and course.rollback is None and planned.permitted.allowed:
            trial = trials.widened(course.trial, planned.state, course.outcome)
            course = replace(course, trial=trial)
            cycle.parts.memory.keep_trial(trial)
    return course


def rules_now(parts: Parts, target: Target, *, waits_for_backoff: bool) -> PermitRules:
    """The rules that hold changes towards ``target`` now. ``waits_for_backoff``: True if a deploy that failed waits
    until its next try is due."""
    return permit_rules(
        target.resolution.state,
        gate=target.gate,
        suspension=target.suspension,
        attempts=parts.memory.state().attempts,
        now=parts.clock(),
        waits_for_backoff=waits_for_backoff,
    )


def plan_changes(
    parts: Parts,
    target: Target,
    rules: PermitRules,
    before: Mapping[str, AppliedDeploy],
    *,
    going_back: bool = False,
) -> Planned:
    """Plan the target, and decide which part of the plan ``rules`` and the policies of the commit permit. Change
    nothing. ``going_back``: do not ask the policies, which permitted this state when it was first applied."""
    root = parts.exports.folder(target.resolution.commit)
    policies = None if going_back else host_policies(parts, target)
    return plan_state(parts, target.resolution.state, root, rules, before, policies=policies)


def plan_state(
    parts: Parts,
    state: DesiredState,
    root: Path,
    rules: PermitRules,
    before: Mapping[str, AppliedDeploy],
    *,
    policies: HostPolicies | None,
) -> Planned:
    """``plan_changes`` for any ``state`` with its files at ``root``, also one that is in no commit. ``policies``: None
    to ask none."""
    made = MadeChanges()
    plan = _plan(parts, state, root, before, made=made)
    made.foresee(plan)
    if policies is not None:
        rules = replace(rules, denied=policies.deploy_holds(plan))
    return Planned(state, plan, permit(plan, rules), rules, before, root, made, policies)


def host_policies(parts: Parts, target: Target) -> HostPolicies:
    """The policies of the target's commit."""
    state, groups = target.resolution.state, target.resolution.terms.groups
    tree = partial(parts.mirror.tree, state.commit)
    return HostPolicies(tree, state, inventory=parts.settings.inventory, groups=groups)


def begin_change(cycle: Cycle, course: Course) -> Trial | None:
    """Report that an intended change is about to be applied, and return its trial: the one that a crash left open, or a
    new one. None if Git intends no change, or this state is the last good one already."""
    planned, applied = course.planned, cycle.parts.memory.applied()
    if planned is None or not planned.permitted.allowed:
        return course.trial
    # Where the way back failed, a state in doubt is remembered as applied, so nothing in it is new. It needs a trial.
    again = planned.state.digest in cycle.parts.memory.bad()
    if not planned.permitted.intends and not again:
        return course.trial
    cycle.parts.reporter.attempting(account_of(cycle, TrialVerdict(course)))
    if course.trial is not None or planned.state.digest == applied.good:
        return course.trial
    trial = trials.begin_trial(
        planned.state,
        planned.permitted,
        applied=planned.before,
        source=health_source(cycle, planned.state),
        again=again,
        now=cycle.parts.clock(),
    )
    cycle.parts.memory.keep_trial(trial)
    return trial


def apply_changes(parts: Parts, planned: Planned, only: frozenset[tuple[str, str]] | None = None) -> Outcome:
    """Make the permitted changes. ``only``: the deploy and resource of those to make; None for all."""
    return apply(
        planned.permitted,
        planned.state,
        engine=parts.engine,
        root=planned.root,
        rules=planned.rules,
        applied=planned.before,
        journal=parts.journal,
        ledger=parts.ledger,
        progress=parts.progress,
        clock=parts.clock,
        made=planned.made,
        hold_now=planned.policies.hold_now if planned.policies is not None else lambda _: None,
        only=only,
    )


def confirm_changes(parts: Parts, planned: Planned, outcome: Outcome) -> Converged:
    """Plan again, and record the result in the ledger. Where the changes set off others, make these first, and plan
    once more. Where nothing was permitted, the plan from before is still right."""
    state, after = planned.state, planned.plan
    if planned.permitted.allowed:
        after = _plan(parts, state, planned.root, planned.before, made=planned.made, earlier=planned.plan)
        if behind := _set_off(state, outcome, after, planned.made):
            names = {name for name, _ in behind}
            part = replace(state, deploys=tuple(each for each in state.deploys if each.name in names))
            again = replace(planned, state=part, permitted=permit(after, planned.rules))
            outcome = outcome.then(apply_changes(parts, again, behind))
            after = _plan(parts, state, planned.root, planned.before, made=planned.made, earlier=after)
    applied = confirm(state, after, outcome, planned.before)
    record_result(parts.ledger, state, outcome, after, applied, now=parts.clock())
    return Converged(outcome, after, applied)


def health_source(cycle: Cycle, state: DesiredState | None) -> HealthSource:
    """The source of the host's health, with the checks of ``state``, if any."""
    checks = state.checks if state is not None else ()

    def health() -> Health:
        return probe(cycle.parts.paths.var, cycle.selection.failed_at_first, checks)

    return HealthSource(
        health=health,
        remote=cycle.parts.remote_answers,
        stopped=lambda: cycle.parts.engine.stopped,
        waiting=cycle.parts.progress.settling,
        sleep=cycle.parts.sleep,
        monotonic=cycle.parts.monotonic,
    )


def _plan(
    parts: Parts,
    state: DesiredState,
    root: Path,
    before: Mapping[str, AppliedDeploy],
    *,
    made: MadeChanges,
    earlier: Plan | None = None,
) -> Plan:
    interrupted, engine = parts.journal.interrupted(state.enforced), parts.engine
    return make_plan(
        state, engine=engine, root=root, applied=before, interrupted=interrupted, made=made, earlier=earlier
    )


def _set_off(state: DesiredState, outcome: Outcome, after: Plan, made: MadeChanges) -> frozenset[tuple[str, str]]:
    """The changes, by deploy and resource, that are wanted ``after`` those of this cycle, because these set them off:
    a unit is to be reloaded or restarted by a deploy whose turn is over, also where it was changed in that turn. Empty
    where a deploy with changes of Git failed, was stopped or was skipped: then nothing more should happen."""
    intended = {planned.deploy for planned in outcome.found if planned.intends}
    ended = {deploy.status for deploy in outcome.deploys if deploy.deploy in intended}
    if ended & {Status.FAILED, Status.STOPPED, Status.SKIPPED}:
        return frozenset()
    owns = {(each.deploy, each.resource): each.wanted.owns for planned in outcome.found for each in planned.changes}
    done = [
        (each.deploy, each.resource, owns.get((each.deploy, each.resource)) or (each.resource,))
        for deploy in outcome.deploys
        for each in deploy.results
    ]
    later = stirred_later(state, done)
    own = {(deploy, resource) for deploy, resource, _ in done}
    had_their_turn = {planned.deploy for planned in outcome.found if planned.in_sync}
    resources = (
        (deploy.name, each) for deploy in state.deploys if deploy.name in had_their_turn for each in deploy.resources
    )
    stirred = {(name, each.key) for name, each in resources if made.sets_off(each)}
    wanted = {(each.deploy, each.resource): each.set_off for each in after.changes}
    return frozenset(key for key, why in wanted.items() if key in later or (key not in own and (why or key in stirred)))
