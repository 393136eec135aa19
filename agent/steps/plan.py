"""plan: turns a desired state into what would change on the host now, each change with its cause. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Cause, Change, DeployPlan, Plan, WantedChange
from agent.engine.client import Engine, Prepared


def make_plan(
    state: DesiredState,
    *,
    engine: Engine,
    root: Path,
    applied: Mapping[str, AppliedDeploy],
    interrupted: frozenset[str],
) -> Plan:
    """The plan for ``state``, whose files lie at ``root``. Raises DeployError when the engine itself fails."""
    deploys: list[DeployPlan] = []
    pending = False
    for found in engine.plan(state, root, interrupted):
        planned = classify(state.deploy(found.deploy), found, applied, interrupted)
        if planned.error is not None and pending:
            # What it looks for may be what an earlier deploy is about to create.
            planned = DeployPlan(deploy=planned.deploy, unknown=planned.error)
        elif pending:
            planned = replace(planned, changes=tuple(map(_perhaps, planned.changes)))
        pending = pending or (planned.pending and found.deploy in state.enforced)
        deploys.append(planned)
    return Plan(commit=state.commit, digest=state.digest, deploys=tuple(deploys))


def _perhaps(change: Change) -> Change:
    """What is refused now may be what an earlier deploy is about to make possible."""
    if not change.wanted.refused:
        return change
    return replace(change, wanted=replace(change.wanted, operation=f"unknown until applied: {change.wanted.operation}"))


def classify(
    deploy: DesiredDeploy, found: Prepared, applied: Mapping[str, AppliedDeploy], interrupted: frozenset[str]
) -> DeployPlan:
    """What the engine found of one deploy, with the cause of each change."""
    if found.error is not None:
        return DeployPlan(deploy=deploy.name, error=found.error)
    before = applied.get(deploy.name)
    digests = {resource.key: resource.digest for resource in deploy.resources}
    return DeployPlan(
        deploy=deploy.name,
        changes=tuple(
            Change(deploy.name, wanted, _cause(wanted, deploy, digests, before, deploy.name in interrupted))
            for wanted in found.changes
        ),
        resources=found.resources,
        unowned=found.unowned,
    )


def _cause(
    wanted: WantedChange,
    deploy: DesiredDeploy,
    digests: Mapping[str, str],
    before: AppliedDeploy | None,
    interrupted: bool,
) -> Cause:
    if before is None or _applied_digest(wanted.resource, before) != digests.get(wanted.resource, deploy.digest):
        return Cause.INTENDED
    if interrupted:
        return Cause.INTERRUPTED
    if before.digest == deploy.digest and wanted.resource in before.not_idempotent:
        return Cause.NOT_IDEMPOTENT
    return Cause.DRIFT


def _applied_digest(key: str, before: AppliedDeploy) -> str:
    # An operation of a config repo's deploy file has no digest of its own: its deploy's stands for it.
    return before.resources.get(key, before.digest)
