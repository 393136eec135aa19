"""dnf, apk, pacman, zypper: how each is asked for its packages, and told to install some or to take some away.

None of them takes along what is not named: rpm and pacman refuse where something needs a package, apk leaves it.
(``dnf remove`` and ``zypper remove`` would take along what needs it, so rpm is told itself.)
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.deploys.telling import reason
from agent.errors import DeployError
from agent.system.process import Completed, run

_QUERY_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 1500.0
_OUTPUT_LIMIT = 4 * 1024 * 1024

Versions = Mapping[str, Collection[str]]
"""By name of an installed package, its versions; a kernel may be there in several."""


@dataclass(frozen=True, slots=True)
class Manager:
    """Commands of one package manager; names of packages stand behind them.

    ``listing`` prints a package a line, name and version. ``keep`` leaves configuration that was changed, ``purge``
    does not where it can tell. ``refresh`` fetches package lists where it has to be told. ``join`` stands between name
    and version; empty: there is one version of each package.
    """

    name: str
    listing: tuple[str, ...]
    install_command: tuple[str, ...]
    keep: tuple[str, ...]
    purge: tuple[str, ...]
    join: str
    refresh: tuple[str, ...] = ()

    def versions(self) -> Versions:
        """Everything that is installed. Raises DeployError."""
        done = run(self.listing, timeout_s=_QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT)
        if not done.ok:
            raise DeployError(f"{self.listing[0]} does not say what is installed: {reason(done)}")
        found: dict[str, set[str]] = defaultdict(set)
        for line in done.output.decode(errors="replace").splitlines():
            name, version = self._read(line)
            found[name].add(version)
        return found

    def _read(self, line: str) -> tuple[str, str]:
        """Name and version; apk writes them, and the release, in one word."""
        package, _, version = line.partition(" ")
        if self.name != "apk":
            return package, version
        name = package.rsplit("-", 2)[0]
        return name, package.removeprefix(f"{name}-")

    def version(self, name: str) -> str | None:
        """The newest of a package; None where it is not installed."""
        return max(self.versions().get(name, ()), default=None)

    def has(self, there: Versions, name: str, version: str | None) -> bool:
        """Whether this version is there, with the distribution's release number behind it or without."""
        found = there.get(name, ())
        return bool(found) if version is None else any(f"{each}-".startswith(f"{version}-") for each in found)

    def pinned(self, name: str, version: str | None) -> str:
        """A package as the manager is told of it. Raises DeployError where it has no versions to choose from."""
        if version is not None and not self.join:
            raise DeployError(
                f"{name}={version}: {self.name} has one version of each package", hint="leave the version out"
            )
        return f"{name}{self.join}{version}" if version is not None else name

    def install(self, package: str, lists: bool) -> None:
        """Installs one; ``lists``: fetches the package lists before. Raises DeployError."""
        if lists and self.refresh:
            _require(run(self.refresh, timeout_s=_RUN_TIMEOUT_S), package)
        _require(run([*self.install_command, package], timeout_s=_RUN_TIMEOUT_S), package)

    def erase(self, name: str) -> None:
        """Removes one. Raises DeployError."""
        _require(run([*self.keep, name], timeout_s=_RUN_TIMEOUT_S), name)

    def take_away(self, names: Sequence[str], *, purge: bool) -> Mapping[str, str]:
        """By name, why some had to stay. One that something needs keeps the others from going at first."""
        there = [name for name in names if name in self.versions()]
        if not there:
            return {}
        run([*self.command(purge=purge), *there], timeout_s=_RUN_TIMEOUT_S)
        stayed = {}
        for name in there:
            if name in self.versions():
                done = run([*self.command(purge=purge), name], timeout_s=_RUN_TIMEOUT_S)
                if name in self.versions():
                    stayed[name] = "another package needs it" if done.ok else reason(done)
        return stayed

    def command(self, *, purge: bool) -> tuple[str, ...]:
        return self.purge if purge else self.keep


def _require(done: Completed, package: str) -> None:
    if not done.ok:
        raise DeployError(f"{package}: {reason(done)}")


_RPM = ("rpm", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\\n", "-qa")
_ERASE = ("rpm", "--erase")

MANAGERS: Mapping[str, Manager] = {
    manager.name: manager
    for manager in (
        Manager("dnf", _RPM, ("dnf", "install", "-y"), _ERASE, _ERASE, join="-"),
        Manager(
            "apk",
            listing=("apk", "list", "--installed"),
            install_command=("apk", "add"),
            keep=("apk", "del"),
            purge=("apk", "del", "--purge"),
            join="=",
            refresh=("apk", "update"),  # its lists may be missing altogether (`apk --no-cache` images)
        ),
        Manager(
            "pacman",
            listing=("pacman", "-Q"),
            install_command=("pacman", "--noconfirm", "-S"),
            keep=("pacman", "--noconfirm", "-R"),
            purge=("pacman", "--noconfirm", "-R", "--nosave"),
            join="",
        ),
        Manager("zypper", _RPM, ("zypper", "--non-interactive", "install", "--oldpackage"), _ERASE, _ERASE, join="="),
    )
}


def manager_of_host() -> Manager | None:
    """None where it is apt, or nobody."""
    if shutil.which("apt-get") is not None:
        return None
    return next((manager for name, manager in MANAGERS.items() if shutil.which(name)), None)
