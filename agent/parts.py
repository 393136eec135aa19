"""The real things that the steps of a cycle work on, as ``wiring`` hands them in."""

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
from agent.system.git import Mirror


@dataclass(frozen=True, slots=True)
class Named:
    """A commit that a person asks for, now: no window is waited for. ``stay``: the host is to stay on it."""

    commit: Pinned
    stay: bool


class Reporter(Protocol):
    """The place that accounts go to; ``steps.report`` has the real one."""

    def attempting(self, account: Account) -> None:
        """Say that an intended change is about to be applied. Best effort: silence afterwards is a signal."""

    def report(self, account: Account) -> Sequence[HostwrightError]:  # noqa: ARG002 - as below
        """Send the account of a whole cycle, or keep it to be sent. Return what is wrong with reporting itself.
        Raises ReportError when it was not sent."""
        return ()

    def next_report(self, account: Account) -> int:  # noqa: ARG002 - the real one looks at it
        """The moment at which something has to be sent again although nothing happens (seconds since the epoch)."""
        return 0


class Silent(Reporter):
    """The reporter of a plan, which is nobody's news."""

    def attempting(self, account: Account) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The real things that the steps work on."""

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
    """The damage that had to be put right before the cycle could begin."""
    unusable: HostwrightError | None = None
    """The reason why nothing can be remembered here now; then nothing may be changed either."""
    renewed: bool = False
    """True if the agent got other units as this cycle began: it does not run by them yet."""
    named: Named | None = None
    """The commit that this cycle is to go to."""
