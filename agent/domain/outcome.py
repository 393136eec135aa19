"""The results of applying a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from agent.domain.plan import Change, DeployPlan


class Status(StrEnum):
    """The end of a deploy."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """The cycle was asked to stop between two operations; the one that had begun was finished."""
    SKIPPED = "skipped"
    """Another deploy, which this one needs, did not end well."""
    HELD = "held"
    """Nothing of it was permitted, or nothing was wanted."""


@dataclass(frozen=True, slots=True)
class OperationResult:
    """One change as it was carried out. ``seconds``: wall time. ``output`` and ``error``: the last 64 KiB of each."""

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
    """The end of one deploy, and the results of its operations. ``times``: the time of each result, in seconds since
    the epoch. ``cut_off``: True if the deploy overran its time, or the engine ended while it ran."""

    deploy: str
    status: Status
    results: tuple[OperationResult, ...] = ()
    error: str = ""
    times: tuple[int, ...] = ()
    cut_off: bool = False

    def then(self, later: DeployOutcome) -> DeployOutcome:
        """The outcome of the same deploy with what was done ``later``, in a second turn."""
        if later.status is Status.HELD:
            return self
        return replace(later, results=(*self.results, *later.results), times=(*self.times, *later.times))


@dataclass(frozen=True, slots=True)
class Outcome:
    """All deploys of a plan, in order."""

    deploys: tuple[DeployOutcome, ...] = ()
    found: tuple[DeployPlan, ...] = ()
    """The plan of each deploy, made at its turn. It has what was unknown before, and what earlier deploys set off."""
    recorded: tuple[str, ...] = ()
    """Keys of resources that came into the ledger because their deploy was about to run."""

    @property
    def failed(self) -> tuple[DeployOutcome, ...]:
        return tuple(deploy for deploy in self.deploys if deploy.status is Status.FAILED)

    @property
    def changed(self) -> tuple[OperationResult, ...]:
        return tuple(result for deploy in self.deploys for result in deploy.results if result.changed)

    def then(self, later: Outcome) -> Outcome:
        """Both outcomes as one, deploy by deploy: this one, and what was done ``later``."""
        again = {deploy.deploy: deploy for deploy in later.deploys}
        wanted = {planned.deploy: planned for planned in later.found}
        found = [
            replace(wanted[planned.deploy], changes=(*planned.changes, *_new(wanted[planned.deploy], planned)))
            if planned.deploy in wanted
            else planned
            for planned in self.found
        ]
        deploys = (deploy.then(again[deploy.deploy]) if deploy.deploy in again else deploy for deploy in self.deploys)
        return Outcome(tuple(deploys), tuple(found), (*self.recorded, *later.recorded))

    def status(self, name: str) -> Status | None:
        return next((deploy.status for deploy in self.deploys if deploy.deploy == name), None)


def _new(later: DeployPlan, earlier: DeployPlan) -> tuple[Change, ...]:
    known = {change.resource for change in earlier.changes}
    return tuple(change for change in later.changes if change.resource not in known)
