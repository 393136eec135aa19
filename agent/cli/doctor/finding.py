"""The types of doctor's checks: the installation that they look at, and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory

QUERY_TIMEOUT_S = 20.0


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of doctor. ``hint``: what to do about it."""

    verdict: Verdict
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """The agent on one host."""

    paths: Paths
    settings: Settings

    @property
    def memory(self) -> Memory:
        return Memory(self.paths)

    @property
    def reports_to(self) -> str:
        """The remote that takes this host's reports."""
        return self.settings.reports_to(self.memory.state().fleet)


Look = Callable[[Installation], Iterator[Finding]]
"""Yields the findings of one check. May raise HostwrightError and OSError."""


def ok(message: str) -> Finding:
    return Finding(Verdict.OK, message)


def warning(message: str, hint: str) -> Finding:
    return Finding(Verdict.WARNING, message, hint)


def failed(message: str, hint: str = "") -> Finding:
    return Finding(Verdict.FAILED, message, hint)
