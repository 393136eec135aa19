"""The trial of an intended change: the state of the host before it, and the verdict on a change that did harm.

``attempt.json``   a change that was begun and not judged yet           Trial
``bad.json``       desired states that turned out bad, by digest        Verdicts of Bad
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.domain.codec import IN_DOCUMENTS
from agent.domain.memory import LONGEST_BACKOFF_S
from agent.domain.plan import Hold, HoldKind

if TYPE_CHECKING:
    from agent.domain.desired import DesiredState

MOST_TRIES = 2
"""The most attempts at a change that never end, because the agent or the host goes down with it."""

FIRST_DOUBT_S = 60
"""The seconds until a change is tried again that may not be to blame for its failure. Each further wait is twice as
long."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An intended change, from before it is applied until it is judged, and the state of the host before it.

    ``digest`` and ``commit``: those of the desired state. ``at``: when it began, in seconds since the epoch.
    ``touched``: the deploys that the change touches. ``passed``: labels of the checks that passed before. ``known``:
    labels of the checks that the host was judged by before; all others are new. ``failed_units``: the units that had
    failed before. ``remote``: True if the config repo's server answered before.
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
        """True if the change was begun as often as it may be, and never ended."""
        return self.tries >= MOST_TRIES


@dataclass(frozen=True, slots=True)
class Bad:
    """A desired state that this host does not aim at again by itself: not before ``until`` (seconds since the epoch)
    where the state is in doubt, as something else may be to blame; never where that is None. ``times``: how often in a
    row it was taken back."""

    digest: str
    commit: str
    at: int
    reason: str
    until: int | None = None
    times: int = 1
    never_ended: bool = field(default=False, metadata={IN_DOCUMENTS: "forlorn"})
    """True if the agent or the host went down with it each time: it stays bad, also if going back does not help."""
    checks: tuple[str, ...] = ()
    """The digests of the checks that counted against it; empty if anything else did."""

    def rests_on(self, state: DesiredState) -> bool:
        """False if checks alone counted against it, and ``state``, which has its digest, asks none of them: they were
        corrected."""
        in_doubt = self.until is not None  # tried again anyway
        return in_doubt or not self.checks or not {check.digest for check in state.checks}.isdisjoint(self.checks)

    def is_current(self, now: int) -> bool:
        """True as long as the host may not aim at it. A doubt that would last longer than any can no longer counts: the
        clock was wrong then, and has been put right since."""
        return self.until is None or 0 < self.until - now <= LONGEST_BACKOFF_S

    @property
    def hold(self) -> Hold:
        """The hold on the commit, for as long as ``is_current`` is True."""
        if self.until is None:
            return Hold(HoldKind.BAD, f"commit {self.commit[:12]} was taken back: {self.reason}")
        return Hold(
            HoldKind.INCONCLUSIVE, f"commit {self.commit[:12]} was taken back for now: {self.reason}", self.until
        )

    def in_doubt(self, now: int) -> Bad:
        """A copy that is in doubt: it may be tried again after a wait, which doubles with ``times``."""
        return replace(self, until=now + min(FIRST_DOUBT_S * 2 ** (self.times - 1), LONGEST_BACKOFF_S))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The desired states that are bad or in doubt, by digest."""

    bad: Mapping[str, Bad] = field(default_factory=dict)
