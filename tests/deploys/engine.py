"""A deploy through the real engine, on this machine, below a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.outcome import DeployOutcome, OperationResult
from agent.domain.plan import WantedChange
from agent.engine.client import Execute, FoundDeploy
from tests import children

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Run:
    changes: tuple[WantedChange, ...]
    results: tuple[OperationResult, ...]
    outcome: DeployOutcome

    @property
    def operations(self) -> dict[str, str]:
        return {change.resource: change.operation for change in self.changes}


def plan(deploy: DesiredDeploy, root: Path, work: Path) -> FoundDeploy:
    (prepared,) = children.engine(work=work, timeout_s=TIMEOUT_S).plan(_state(deploy), root, frozenset())
    return prepared


def apply(deploy: DesiredDeploy, root: Path, work: Path) -> Run:
    """Plans it and carries all of it out."""
    found: list[FoundDeploy] = []
    results: list[OperationResult] = []

    def decide(prepared: FoundDeploy) -> Execute:
        found.append(prepared)
        return Execute(frozenset(change.resource for change in prepared.changes))

    engine = children.engine(work=work, timeout_s=TIMEOUT_S)
    (outcome,) = engine.apply(_state(deploy), root, frozenset(), decide=decide, on_operated=results.append)
    return Run(found[0].changes, tuple(results), outcome)


def _state(deploy: DesiredDeploy) -> DesiredState:
    return DesiredState("here", "0" * 40, (deploy,), "")
