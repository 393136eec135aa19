"""The double for the status branch: keeps the accounts that a cycle would report."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.domain.account import Account
from agent.errors import HostwrightError


@dataclass
class PlayedReporter:
    """``attempts``: how often a change was announced; ``reported``: the accounts, in order."""

    attempts: int = 0
    reported: list[Account] = field(default_factory=list)

    def attempting(self, _: Account) -> None:
        self.attempts += 1

    def report(self, account: Account) -> tuple[HostwrightError, ...]:
        self.reported.append(account)
        return ()

    def next_report(self, _: Account) -> int:
        """Seconds since the epoch; later than any test."""
        return 2**40
