"""Resources that have left Git and are still on the host: their fate, and what a cycle did about them."""

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
    """The agent created it, and may not remove it now: it stays, and the report says so."""
    RELEASE = "release"
    """It was there before the agent: it stays as it is now, and can be restored later."""
    RESTORE = "restore"
    """It was there before the agent, and the agent makes it again as it was."""
    LEAVE = "leave"
    """Somebody else changed it since, or nobody can look at it: it stays, and so does its entry."""
    FORGET = "forget"
    """It is gone already."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One resource that no deploy wants any more. ``reason``: why it is not simply removed, or why the last attempt to
    remove it failed. ``hold``: why nothing is done about it now."""

    entry: LedgerEntry
    fate: Fate
    reason: str = ""
    hold: Hold | None = None

    @property
    def goes(self) -> bool:
        """True if the resource would be gone, or an account would lose its access."""
        return self.fate in (Fate.REMOVE, Fate.RELEASE)


@dataclass(frozen=True, slots=True)
class Departure:
    """A deploy that has left Git and has an ``on_remove``, which is to be run now."""

    deploy: str
    on_remove: OnRemove
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """Everything that has left Git."""

    removals: tuple[Removal, ...] = ()
    departures: tuple[Departure, ...] = ()

    @property
    def due(self) -> bool:
        """True if anything is left to do, now or when its hold ends."""
        return bool(self.departures) or any(removal.fate is not Fate.FORGET for removal in self.removals)

    @property
    def permitted(self) -> Leaving:
        return Leaving(
            tuple(removal for removal in self.removals if removal.hold is None),
            tuple(departure for departure in self.departures if departure.hold is None),
        )

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The holds on any of it, each once."""
        found = [departure.hold for departure in self.departures] + [removal.hold for removal in self.removals]
        return tuple(dict.fromkeys(hold for hold in found if hold is not None))


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The ``units`` that were reloaded because a file they read was removed. ``failed``: a line for each that could not
    be."""

    units: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovalFailure:
    """Entries that could not be removed, restored or released (``fate``), and the ``error``."""

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
    """The results of removing. ``done``: each with the fate that it met. ``refused``: by key, why a resource has to
    stay now. ``failed``: those that could not be removed. ``reloaded``: the units that were reloaded."""

    done: tuple[Removal, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[RemovalFailure, ...] = ()
    reloaded: Reloaded = field(default_factory=Reloaded)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The results of a cycle's work on what has left Git.

    ``waits``: why nothing was removed but what stood in the way of a change; empty otherwise. ``done``: each with the
    fate that it met. ``revoked``: keys of the resources that lost their access to the host, removed or not.
    ``departed``: by deploy, the ``on_remove`` that ended well. ``stayed``: by deploy, why its ``on_remove`` did not.
    ``standing``: the entries that no deploy wants and that stay.
    """

    waits: str = ""
    leaving: Leaving = field(default_factory=Leaving)
    done: tuple[Removal, ...] = ()
    revoked: tuple[str, ...] = ()
    departed: Mapping[str, str] = field(default_factory=dict)
    stayed: Mapping[str, str] = field(default_factory=dict)
    standing: tuple[LedgerEntry, ...] = ()
    failures: tuple[HostwrightError, ...] = ()
    reloaded: Reloaded = field(default_factory=Reloaded)

    @property
    def changed(self) -> bool:
        """True if this changed anything on the host."""
        fates = {removal.fate for removal in self.done}
        return bool(self.departed or self.stayed or self.reloaded.units or fates & {Fate.REMOVE, Fate.RELEASE})

    @property
    def held(self) -> bool:
        """True if anything waits for a person."""
        return any(hold.kind not in (HoldKind.NOT_PRUNED, HoldKind.PRUNE_WAITS) for hold in self.leaving.holds)

    @property
    def settled(self) -> bool:
        """True if nothing is left to remove that waits for a person, or that could not be removed yet."""
        waiting = {HoldKind.PRUNE_HELD, HoldKind.NOT_PRUNED, HoldKind.POLICY}
        held = any(hold.kind in waiting for hold in self.leaving.holds)
        return not self.waits and not self.failures and not held
