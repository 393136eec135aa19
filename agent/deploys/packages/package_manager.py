"""The package manager of a host, as far as the agent needs it outside of a deploy."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from agent.deploys.kind import ResourceState
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
