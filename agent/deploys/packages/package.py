"""Packages as the ledger knows them: looked at, taken away all at once, and given back as they were, by the package
manager of the host."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from agent.deploys.kind import Kind, ResourceState
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class PackageManager(ABC):
    """A package manager. A package's state is its ``version``; with apt also ``held`` (apt-mark hold) and ``auto`` (it
    came along as a dependency). All methods raise DeployError where the manager itself cannot be had."""

    @abstractmethod
    def installed(self) -> Mapping[str, ResourceState]:
        """All packages that are on the host, by name; with their architecture where that is not the host's own."""

    @abstractmethod
    def state(self, name: str) -> ResourceState | None:
        """One package, by any name that an inventory may give it; None where it is not on the host."""

    @abstractmethod
    def take_away(self, names: Sequence[str], *, purge: bool) -> Mapping[str, str]:
        """Removes packages together. Returns by name why some had to stay; those that are gone already are fine."""

    @abstractmethod
    def put_back(self, entry: LedgerEntry, now: Seen | None) -> None:
        """Makes an adopted package what it was before. Raises DeployError when it cannot."""

    @abstractmethod
    def farewell(self, names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command that takes packages away for good, for whoever will not be there to run it; empty where nothing
        goes. And by name why some have to stay."""

    def release(self, name: str) -> None:  # noqa: B027 - most managers hold nothing
        """Lets go of what the agent held, whether it is still there or not."""


def manager_of_host() -> PackageManager | None:
    """None where there is none."""
    if shutil.which("apt-get") is not None:
        from agent.deploys.packages.apt_packages import AptPackages

        return AptPackages()
    from agent.deploys.packages.other_managers import MANAGERS

    return next((manager for program, manager in MANAGERS.items() if shutil.which(program)), None)


def require_manager() -> PackageManager:
    """Raises DeployError where there is none."""
    if (manager := manager_of_host()) is None:
        raise DeployError("this host has no package manager that the agent knows")
    return manager


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
