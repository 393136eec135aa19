"""Things that left Git and are still on the host: their fate, and what a cycle did about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.desired import OnRemove
from agent.domain.ownership import LedgerEntry
from agent.domain.plan import Hold, HoldKind
from agent.errors import HostwrightError


class Fate(StrEnum):
    REMOVE = "remove"
    """The agent created it, and it is as the agent left it."""
    ORPHAN = "orphan"
    """The agent created it, and it may not be taken away: it stays, and the report says so."""
    RELEASE = "release"
    """It was there before the agent: it stays as it is now, and can be given back as it was."""
    RESTORE = "restore"
    """It was there before the agent, and becomes as it was."""
    LEAVE = "leave"
    """Somebody else changed it since, or nobody can look at it: it stays, and so does its entry."""
    FORGET = "forget"
    """It is gone already."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One resource that no deploy wants any more. ``reason`` says why it is not simply removed, or was not when that
    was last tried; a ``hold`` why nothing is done about it now."""

    entry: LedgerEntry
    fate: Fate
    reason: str = ""
    hold: Hold | None = None

    @property
    def goes(self) -> bool:
        """True if it would not be there any more, or lose its access."""
        return self.fate in (Fate.REMOVE, Fate.RELEASE)


@dataclass(frozen=True, slots=True)
class Departure:
    """A deploy that has left Git and said what is to be run then."""

    deploy: str
    on_remove: OnRemove
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """All that has left Git."""

    removals: tuple[Removal, ...] = ()
    departures: tuple[Departure, ...] = ()

    @property
    def due(self) -> bool:
        """True if anything is to be done, now or when its hold ends."""
        return bool(self.departures) or any(removal.fate is not Fate.FORGET for removal in self.removals)

    @property
    def permitted(self) -> Leaving:
        return Leaving(
            tuple(removal for removal in self.removals if removal.hold is None),
            tuple(departure for departure in self.departures if departure.hold is None),
        )

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Each hold once."""
        found = [departure.hold for departure in self.departures] + [removal.hold for removal in self.removals]
        return tuple(dict.fromkeys(hold for hold in found if hold is not None))


@dataclass(frozen=True, slots=True)
class Told:
    """Units that read what has gone, and of those that could not be told, why, a line each."""

    units: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovalFailure:
    """Entries that could not be removed, restored or released, and why."""

    entries: tuple[LedgerEntry, ...]
    fate: Fate
    error: HostwrightError | OSError

    @property
    def reason(self) -> str:
        if isinstance(self.error, HostwrightError):
            return self.error.message
        return f"{self.error.strerror or self.error}"


@dataclass(frozen=True, slots=True)
class Removals:
    """The results of removing: ``done``, with the fate that each met; ``refused``, by key why some have to stay now;
    what ``failed``; and the units that were ``told``."""

    done: tuple[Removal, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[RemovalFailure, ...] = ()
    told: Told = field(default_factory=Told)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The results of a cycle's work on what has left Git.

    ``waits`` says why nothing was removed at all. ``done``: with the fate that each one met. ``revoked``: keys
    of what lost its access to the host, whether it could go now or not. ``departed``: by deploy,
    the ``on_remove`` that ended well; ``stayed``: why that of others did not. ``standing``: what no deploy wants and
    stays.
    """

    waits: str = ""
    leaving: Leaving = field(default_factory=Leaving)
    done: tuple[Removal, ...] = ()
    revoked: tuple[str, ...] = ()
    departed: Mapping[str, str] = field(default_factory=dict)
    stayed: Mapping[str, str] = field(default_factory=dict)
    standing: tuple[LedgerEntry, ...] = ()
    failures: tuple[HostwrightError, ...] = ()
    told: Told = field(default_factory=Told)

    @property
    def changed(self) -> bool:
        """True if anything on the host is not as it was."""
        fates = {removal.fate for removal in self.done}
        return bool(self.departed or self.stayed or self.told.units or fates & {Fate.REMOVE, Fate.RELEASE})

    @property
    def held(self) -> bool:
        """True if anything waits for somebody to do something."""
        return any(hold.kind not in (HoldKind.NOT_PRUNED, HoldKind.PRUNE_WAITS) for hold in self.leaving.holds)

    @property
    def settled(self) -> bool:
        """True if nothing waits any more for somebody to allow it, or that somebody has allowed."""
        waiting = {HoldKind.PRUNE_HELD, HoldKind.NOT_PRUNED, HoldKind.POLICY}
        held = any(hold.kind in waiting for hold in self.leaving.holds)
        return not self.waits and not self.failures and not held
