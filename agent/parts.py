"""The parts: the objects that the steps of a cycle work on. ``wiring`` makes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.domain.account import Account
from agent.domain.memory import Pinned
from agent.engine.client import Engine
from agent.errors import HostwrightError
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedStates
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.steps.apply import Progress
from agent.system.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Named:
    """A commit that a person wants the host to go to now, outside of windows too. ``stay``: True if the host is to stay
    on it."""

    commit: Pinned
    stay: bool


class Reporter(Protocol):
    """A receiver of accounts; ``steps.report`` has the real one."""

    def attempting(self, account: Account) -> None:
        """Report that an intended change is about to be applied, if possible. If no report follows, the change took the
        host down."""

    def report(self, account: Account) -> Sequence[HostwrightError]:  # noqa: ARG002 - as below
        """Send the account of a whole cycle, or keep it until it can be sent. Return the faults of reporting itself.
        Raises ReportError if it was not sent."""
        return ()

    def next_report(self, account: Account) -> int:  # noqa: ARG002 - the real one looks at it
        """The time, in seconds since the epoch, at which a report is due even if nothing happens before."""
        return 0


class SilentReporter(Reporter):
    """The reporter of a plan, which reports nothing."""

    def attempting(self, account: Account) -> None:
        """Report nothing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects that the steps of one cycle, or of a plan, work on."""

    paths: Paths
    settings: Settings
    memory: Memory
    mirror: Mirror
    exports: Exports
    repositories: Repositories
    resolved: ResolvedStates
    engine: Engine
    journal: Journal
    ledger: Ledger
    events: Events
    reporter: Reporter
    progress: Progress
    clock: Callable[[], int]
    """Seconds since the epoch."""
    versions: Versions
    remote_answers: Callable[[], bool]
    """True if the config repo's server takes connections."""
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    healed: tuple[HostwrightError, ...] = ()
    """The damage that was put right before the cycle began."""
    unusable: HostwrightError | None = None
    """The reason why nothing can be written down on this host now, so that nothing may be changed either; else None."""
    renewed: bool = False
    """True if the unit files of the agent were replaced when this cycle began. The cycle still runs by the old ones."""
    named: Named | None = None
    """The commit that a person wants this cycle to go to; None: the newest."""
