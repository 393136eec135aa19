"""Packages as the ledger knows them: looked at, taken away all at once, and given back as they were."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from agent.deploys.kind import Kind, ResourceState
from agent.deploys.packages.package_manager import manager_of_host, require_manager
from agent.domain.ownership import LedgerEntry, Seen


class Package(Kind):
    """Its state is what the host's package manager says of it (``PackageManager``)."""

    def look(self, name: str) -> Seen | None:
        state = require_manager().state(name)
        return None if state is None else Seen(state)

    def changed(self, left: ResourceState, now: Seen) -> str:
        """A newer version is no change by a person."""
        return "held on this host" if now.state.get("held") and not left.get("held") else ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        manager, names = require_manager(), [entry.name for entry in entries]
        stayed = manager.take_away(names, purge=purge)
        for name in names:
            manager.release(name)
        return {entry.key: stayed[entry.name] for entry in entries if entry.name in stayed}

    def release(self, entry: LedgerEntry) -> None:
        require_manager().release(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        require_manager().put_back(entry, self.look(entry.name))


def installed() -> frozenset[str]:
    """Names of all packages on the host; with their architecture where that is not its own."""
    manager = manager_of_host()
    return frozenset() if manager is None else frozenset(manager.installed())


def came_since(before: Collection[str], asked: Collection[str]) -> Mapping[str, Seen]:
    """Packages that are on the host and were not ``before``: those that were ``asked`` for and what came along with
    them, as far as that can be told from what somebody else installed meanwhile."""
    there = require_manager().installed()
    return {
        name: Seen(there[name])
        for name in sorted(there.keys() - set(before))
        if name in asked or there[name].get("auto", True)
    }
