"""The trial of an intended change: what held before it, what counts against it, and what came of it.

``attempt.json``   a change that was begun and not judged yet           Trial
``bad.json``       desired states that turned out bad, by digest        Verdicts of Bad
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.domain.memory import LONGEST_BACKOFF_S
from agent.domain.plan import Hold, HoldKind

MOST_TRIES = 2
"""An attempt that twice did not end, because the agent or the host went down with it, is not made a third time."""

FIRST_DOUBT_S = 60
"""Until an attempt whose failure may not have been its own is made again; then twice as long each time."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An intended change from before it is applied until it is judged, with what held before it.

    ``touched``: the deploys that it changes. ``passed``: labels of the checks that passed before; ``known``: of those
    that the host has been judged by before, so that all others are new. ``failed_units``: those that had failed.
    ``remote``: whether the config repo's server answered.
    """

    digest: str
    commit: str
    at: int
    tries: int = 1
    touched: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    failed_units: tuple[str, ...] = ()
    remote: bool = True

    @property
    def out_of_tries(self) -> bool:
        """True if it has been begun as often as it may be, and never ended."""
        return self.tries >= MOST_TRIES


@dataclass(frozen=True, slots=True)
class Bad:
    """A desired state that this host does not aim at again by itself: never, or not before ``until`` where it is in
    doubt whether it was to blame. ``times``: how often in a row it was taken back."""

    digest: str
    commit: str
    at: int
    reason: str
    until: int | None = None
    times: int = 1
    forlorn: bool = False
    """Bad for what it did to the agent itself, whatever the host's signs say."""

    def holds(self, now: int) -> bool:
        """A doubt not longer than any can be: then a clock that was wrong has been put right since."""
        return self.until is None or 0 < self.until - now <= LONGEST_BACKOFF_S

    @property
    def hold(self) -> Hold:
        """The hold that keeps the host from it."""
        if self.until is None:
            return Hold(HoldKind.BAD, f"commit {self.commit[:12]} was taken back: {self.reason}")
        return Hold(
            HoldKind.INCONCLUSIVE, f"commit {self.commit[:12]} was taken back for now: {self.reason}", self.until
        )

    def in_doubt(self, now: int) -> Bad:
        """A copy that is tried again after a while; each time after a longer one."""
        return replace(self, until=now + min(FIRST_DOUBT_S * 2 ** (self.times - 1), LONGEST_BACKOFF_S))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """All that is bad or in doubt, by digest."""

    bad: Mapping[str, Bad] = field(default_factory=dict)
