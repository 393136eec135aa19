"""What applying a plan did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.domain.plan import DeployPlan


class Status(StrEnum):
    """How a deploy ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Asked to stop between two operations; what had begun was finished."""
    SKIPPED = "skipped"
    """A deploy that it needs did not end well."""
    HELD = "held"
    """Nothing of it was permitted, or nothing was wanted."""


@dataclass(frozen=True, slots=True)
class OperationResult:
    """One change as it was carried out. ``seconds`` is wall time; of ``output`` and ``error`` the last 64 KiB."""

    deploy: str
    resource: str
    operation: str
    succeeded: bool
    changed: bool
    seconds: float
    output: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeployOutcome:
    deploy: str
    status: Status
    results: tuple[OperationResult, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All deploys of a plan, in order."""

    deploys: tuple[DeployOutcome, ...] = ()
    found: tuple[DeployPlan, ...] = ()
    """What deploys wanted when their turn came: what was unknown before, or came about by an earlier one, is here."""
    recorded: tuple[str, ...] = ()
    """Keys of resources that came into the ledger, because a deploy that looks after them was about to run."""

    @property
    def failed(self) -> tuple[DeployOutcome, ...]:
        return tuple(deploy for deploy in self.deploys if deploy.status is Status.FAILED)

    @property
    def changed(self) -> tuple[OperationResult, ...]:
        return tuple(result for deploy in self.deploys for result in deploy.results if result.changed)

    def status(self, name: str) -> Status | None:
        return next((deploy.status for deploy in self.deploys if deploy.deploy == name), None)
