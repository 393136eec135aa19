"""The kind ``package``, and the package managers that it works by: their base, and the choice of the host's own.
``apt_packages`` has that of apt, ``other_managers`` has all others."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from agent.deploys.kind import Kind, ResourceState
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class PackageManager(ABC):
    """A package manager. A package's state is its ``version``; with apt also ``held`` (apt-mark hold) and ``auto`` (it
    came along as a dependency). All methods raise DeployError where the manager cannot be asked."""

    @abstractmethod
    def installed(self) -> Mapping[str, ResourceState]:
        """The state of all packages on the host, by name; with the architecture where that is not the host's own."""

    @abstractmethod
    def state(self, name: str) -> ResourceState | None:
        """The state of one package, by any name that an inventory may give it; None where it is not on the host."""

    @abstractmethod
    def take_away(self, names: Sequence[str], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        """Remove packages together; with ``purge`` also their configuration. ``wanted``: packages that stay, also where
        nothing else needs them any more. Returns, by name, why some had to stay; one that is gone already is fine."""

    @abstractmethod
    def put_back(self, entry: LedgerEntry, now: Seen | None) -> None:
        """Give an adopted package its state of before. ``now``: its state now. Raises DeployError where that fails."""

    @abstractmethod
    def removal_command(self, names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command that removes packages with their configuration, to be run after the agent has gone; empty where
        there is nothing to remove. And the reasons why some have to stay, by name."""

    def release(self, name: str) -> None:  # noqa: B027 - most managers hold nothing
        """Lift the agent's own hold on a package, which may be gone already."""


def manager_of_host() -> PackageManager | None:
    """The host's package manager; None where there is none that the agent knows."""
    if shutil.which("apt-get") is not None:
        from agent.deploys.packages.apt_packages import AptPackages

        return AptPackages()
    from agent.deploys.packages.other_managers import MANAGERS

    return next((manager for program, manager in MANAGERS.items() if shutil.which(program)), None)


def require_manager() -> PackageManager:
    """The host's package manager. Raises DeployError where there is none that the agent knows."""
    if (manager := manager_of_host()) is None:
        raise DeployError("this host has no package manager that the agent knows")
    return manager


class Package(Kind):
    """The kind ``package``. Its state comes from the host's package manager (``PackageManager``)."""

    def look(self, name: str) -> Seen | None:
        state = require_manager().state(name)
        return None if state is None else Seen(state)

    def changed(self, left: ResourceState, now: Seen) -> str:
        """``held on this host`` where somebody held the package since the agent left it; else empty. A newer version is
        no change by a person."""
        return "held on this host" if now.state.get("held") and not left.get("held") else ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        manager, names = require_manager(), [entry.name for entry in entries]
        staying = [key.removeprefix("package:") for key in wanted if key.startswith("package:")]
        stayed = manager.take_away(names, purge=purge, wanted=staying)
        for name in names:
            manager.release(name)
        return {entry.key: stayed[entry.name] for entry in entries if entry.name in stayed}

    def release(self, entry: LedgerEntry) -> None:
        require_manager().release(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        require_manager().put_back(entry, self.look(entry.name))


def installed() -> frozenset[str]:
    """The names of all packages on the host, with the architecture where that is not the host's own; empty without a
    package manager."""
    manager = manager_of_host()
    return frozenset() if manager is None else frozenset(manager.installed())


def came_since(before: Collection[str], asked: Collection[str]) -> Mapping[str, Seen]:
    """The packages that are on the host and are not in ``before``: those ``asked`` for and those that came along as
    dependencies. Without apt nobody knows what came along, so all new packages are returned."""
    there = require_manager().installed()
    return {
        name: Seen(there[name])
        for name in sorted(there.keys() - set(before))
        if name in asked or there[name].get("auto", True)
    }
