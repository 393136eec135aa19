"""plan: turns a desired state into what would change on the host now, each change with its cause. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agent.domain.desired import DesiredDeploy, DesiredState, Resource
from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Cause, Change, DeployPlan, Hold, Plan, WantedChange
from agent.engine.client import Engine, FoundDeploy
from agent.steps.reach import MadeChanges


def make_plan(
    state: DesiredState,
    *,
    engine: Engine,
    root: Path,
    applied: Mapping[str, AppliedDeploy],
    interrupted: frozenset[str],
    made: MadeChanges | None = None,
    earlier: Plan | None = None,
) -> Plan:
    """The plan for ``state``, whose files lie at ``root``. ``made``: the changes of Git that this cycle has made so
    far. ``earlier``: a plan of this cycle; the engine does not look again at what it would find as it was then. Raises
    DeployError when the engine itself fails."""
    pending = False
    made = made or MadeChanges()
    plans: dict[str, DeployPlan] = {}
    looked = engine.plan(state, root, interrupted, earlier)
    for found in looked:
        if found.error is None:
            made.add_present(state.deploy(found.deploy), found.changes, applied.get(found.deploy))
    for found in looked:
        deploy = state.deploy(found.deploy)
        planned = classify(deploy, found, applied, interrupted, made)
        planned = waiting_with(deploy, planned, plans)
        if planned.error is not None and pending:
            # An earlier deploy may be about to create what this one looks for.
            planned = DeployPlan(deploy=planned.deploy, unknown=planned.error, moved=planned.moved)
        elif pending:
            planned = replace(planned, changes=tuple(map(_perhaps, planned.changes)))
        pending = pending or (planned.pending and found.deploy in state.enforced)
        plans[planned.deploy] = planned
    deploys = tuple(plans[deploy.name] for deploy in state.deploys if deploy.name in plans)
    return Plan(commit=state.commit, digest=state.digest, deploys=deploys)


def waiting_with(deploy: DesiredDeploy, planned: DeployPlan, others: Mapping[str, DeployPlan]) -> DeployPlan:
    """``planned`` with a hold if it needs a deploy that waits for a secret. ``others``: plans by deploy."""
    if planned.in_sync or planned.waits is not None or planned.error is not None:
        return planned
    for name in deploy.needs:
        other = others.get(name)
        if other is not None and other.waits is not None:
            return replace(planned, waits=Hold(other.waits.kind, f"needs {name}, which waits: {other.waits.reason}"))
    return planned


def _perhaps(change: Change) -> Change:
    """``change`` as unknown until applied if it is refused now: an earlier deploy may be about to make it possible."""
    if not change.wanted.refused:
        return change
    return replace(change, wanted=replace(change.wanted, operation=f"unknown until applied: {change.wanted.operation}"))


def classify(
    deploy: DesiredDeploy,
    found: FoundDeploy,
    applied: Mapping[str, AppliedDeploy],
    interrupted: frozenset[str],
    made: MadeChanges,
) -> DeployPlan:
    """The plan of one deploy: what the engine ``found``, with the cause of each change. ``made``: the changes of Git
    that may have set it off."""
    before = applied.get(deploy.name)
    moved = before is None or before.digest != deploy.digest
    if found.error is not None:
        return DeployPlan(deploy=deploy.name, error=found.error, moved=moved)
    if found.lacks is not None:
        return DeployPlan(deploy=deploy.name, unknown=found.lacks.reason, moved=moved, waits=found.lacks)
    resources = {resource.key: resource for resource in deploy.resources}

    def change(wanted: WantedChange) -> Change:
        # An operation of a config repo's deploy file has no digest of its own: its deploy's stands for it.
        resource = resources.get(wanted.resource, Resource(wanted.resource, deploy.digest))
        if before is None or _applied(before, resource.key, found) != resource.digest:
            return Change(deploy.name, wanted, Cause.INTENDED)
        if why := made.sets_off(resource):
            return Change(deploy.name, wanted, Cause.INTENDED, why)
        if deploy.name in interrupted:
            return Change(deploy.name, wanted, Cause.INTERRUPTED)
        if before.digest == deploy.digest and resource.key in before.not_idempotent:
            return Change(deploy.name, wanted, Cause.NOT_IDEMPOTENT)
        if why := made.may_set_off(deploy, resource.key):
            return Change(deploy.name, wanted, Cause.INTENDED, why)
        return Change(deploy.name, wanted, Cause.DRIFT)

    waiting = (
        Change(deploy.name, WantedChange(key, "set password", private=True), Cause.INTENDED, waits=hold)
        for key, hold in found.waiting.items()
    )
    return DeployPlan(
        deploy=deploy.name,
        changes=(*waiting, *map(change, found.changes)),
        resources=found.resources,
        unowned=found.unowned,
        moved=moved,
        trace=found.trace,
    )


def _applied(before: AppliedDeploy, key: str, found: FoundDeploy) -> str:
    """The digest with which ``key`` was last applied. While its secret is lacking: the digest with which it was applied
    without the secret, if it was."""
    partly = before.partly.get(key) if key in found.waiting else None
    return partly or before.resources.get(key, before.digest)
