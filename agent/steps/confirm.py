"""confirm: turns the same deploys, planned once more, into what is remembered as applied.

A change that is still wanted right after its deploy ended well is *not idempotent*. It is kept by name so that it
does not run again every minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.deploys.kind import kind_named
from agent.domain.desired import DesiredDeploy, DesiredState, Mode
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import DeployOutcome, Outcome, Status
from agent.domain.plan import DeployPlan, Plan
from agent.steps.record import owned_by


def confirm(
    state: DesiredState, after: Plan, outcome: Outcome, applied: Mapping[str, AppliedDeploy]
) -> dict[str, AppliedDeploy]:
    """The memory of each deploy that ``state`` wants. ``after``: the plan made after ``outcome``.

    A deploy in sync is applied, whoever made it so. One that ran and ended well is applied too; what it still wants is
    remembered as not idempotent. Every other deploy keeps its old memory, so that its changes keep their cause. A
    deploy that has left Git keeps its memory until its ``on_remove`` has run.
    """
    remembered: dict[str, AppliedDeploy] = {}
    found = {planned.deploy: planned for planned in outcome.found}
    done = {ended.deploy: ended for ended in outcome.deploys}
    alone = all(_is_inert(result.resource) for result in outcome.changed)
    for planned in after.deploys:
        deploy = state.deploy(planned.deploy)
        before = applied.get(deploy.name)
        entry = _remembered(deploy, planned, done.get(deploy.name), before, found.get(deploy.name), alone=alone)
        plans = [each for each in (found.get(deploy.name), planned) if each is not None]
        entry = _owning(entry, deploy, plans, before)
        if entry is not None and entry is not before:
            entry = replace(entry, checks=tuple(check.label for check in deploy.health))
        if entry is not None:
            remembered[deploy.name] = entry
    there = {deploy.name for deploy in state.deploys}
    gone = {name: entry for name, entry in applied.items() if name not in there and entry.on_remove is not None}
    return remembered | gone


def _remembered(
    deploy: DesiredDeploy,
    planned: DeployPlan,
    done: DeployOutcome | None,
    before: AppliedDeploy | None,
    at_its_turn: DeployPlan | None,
    *,
    alone: bool,
) -> AppliedDeploy | None:
    """The memory of one deploy after this cycle: a new one if it is in sync or ended well, else ``before``.

    ``planned``: its plan after all deploys. ``at_its_turn``: its plan just before it was applied; None if it had no
    turn. ``done``: the end of that turn. ``alone``: True if nothing ran in this cycle that may change other resources:
    a unit that writes its own file when it is restarted would be restarted in each cycle."""
    # Their secret came after the deploy's turn: what is wanted with it now was not tried.
    late = _waiting(at_its_turn) & {change.resource for change in planned.possible} if at_its_turn else set()
    waiting = _waiting(planned) | late
    resources = {resource.key: resource.digest for resource in deploy.resources}
    partly = {key: digest for key, digest in resources.items() if key in waiting}
    resources = {key: digest for key, digest in resources.items() if key not in waiting}
    if before is not None:
        resources |= {key: digest for key, digest in before.resources.items() if key in waiting}
    on_remove = deploy.on_remove if deploy.mode is Mode.ENFORCE else None
    made = {result.resource for result in done.results} if done is not None else set()
    ended = (done is not None and done.status is Status.DONE) or not planned.possible
    if ended and planned.known:
        known = before.not_idempotent if before is not None and before.digest == deploy.digest else ()
        before_it = {change.resource: change.wanted for change in at_its_turn.changes} if at_its_turn else {}
        again = [change for change in planned.possible if change.resource not in late]
        repeated = tuple(
            change.resource
            for change in again
            if not _is_inert(change.resource)
            or change.resource in known
            or (
                change.resource in made
                and not (alone and change.wanted != before_it.get(change.resource, change.wanted))
            )
        )
        return AppliedDeploy(deploy.digest, resources, repeated, on_remove, partly=partly)
    return before


def _is_inert(key: str) -> bool:
    """True if no change of another resource of such a kind can have changed this one. If it differs and was not made in
    this cycle, or differs in another way than before it was made, somebody changed it meanwhile: that is drift."""
    kind = kind_named(key.partition(":")[0])
    return kind is not None and kind.inert


def _waiting(planned: DeployPlan) -> set[str]:
    return {change.resource for change in planned.changes if change.waits is not None}


def _owning(
    entry: AppliedDeploy | None, deploy: DesiredDeploy, plans: Sequence[DeployPlan], before: AppliedDeploy | None
) -> AppliedDeploy | None:
    """``entry`` with what its deploy owns. ``plans``: those made before and after it ran. A deploy that failed also
    owns what it began."""
    owned = owned_by(deploy, plans, before)
    if entry is None:
        return AppliedDeploy("", owned=tuple(sorted(owned))) if owned else None
    if entry is before:
        return replace(entry, owned=tuple(sorted(owned.union(entry.owned)))) if owned else entry
    steady = owned.intersection(plans[-1].resources)
    if before is not None and before.digest == deploy.digest:
        steady &= set(before.steady)
    return replace(entry, owned=tuple(sorted(owned)), steady=tuple(sorted(steady)))
