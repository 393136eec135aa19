"""dnf, apk, pacman, zypper: how each is asked for its packages, and told to install some or to take some away.

None of them takes along what is not named: rpm and pacman refuse where something needs a package, apk leaves it.
(``dnf remove`` and ``zypper remove`` would take along what needs it, so rpm is told itself.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.deploys.kind import ResourceState, state_before, state_left
from agent.deploys.packages.package import PackageManager
from agent.deploys.telling import plain_lines, reason
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError
from agent.system.process import Completed, run

_QUERY_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 1500.0
_OUTPUT_LIMIT = 4 * 1024 * 1024

Versions = Mapping[str, Collection[str]]
"""By name of an installed package, its versions; a kernel may be there in several."""


@dataclass(frozen=True, slots=True)
class OtherManager(PackageManager):
    """Commands of one package manager; names of packages stand behind them.

    ``listing`` prints a package a line, name and version. ``provides`` ends well where what is installed provides a
    name; ``group`` prints the packages of a group. ``keep`` leaves configuration that was changed, ``purge`` does not
    where it can tell. ``refresh`` fetches package lists where it has to be told. ``join`` stands between name and
    version; empty: there is one version of each package.
    """

    name: str
    listing: tuple[str, ...]
    provides: tuple[str, ...]
    install_command: tuple[str, ...]
    keep: tuple[str, ...]
    purge: tuple[str, ...]
    join: str
    refresh: tuple[str, ...] = ()
    group: tuple[str, ...] = ()

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

    def has(self, there: Versions, name: str, version: str | None) -> bool:
        """True where this version is there, with the distribution's release number behind it or without. Without a
        version, also where another package provides the name, or it is a group of which every package is there."""
        if version is not None:
            return any(f"{each}-".startswith(f"{version}-") for each in there.get(name, ()))
        return name in there or self._query(self.provides, name).ok or self._has_group(there, name)

    def _has_group(self, there: Versions, name: str) -> bool:
        members = self._query(self.group, name).output.decode(errors="replace").split() if self.group else []
        return bool(members) and all(member in there for member in members)

    def _query(self, command: Sequence[str], name: str) -> Completed:
        return run([*command, name], timeout_s=_QUERY_TIMEOUT_S)

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
            _change(self.refresh, package)
        _change([*self.install_command, package], package)

    def erase(self, name: str) -> None:
        """Removes one. Raises DeployError."""
        _change([*self.keep, name], name)

    def installed(self) -> Mapping[str, ResourceState]:
        return {name: {"version": max(versions)} for name, versions in self.versions().items()}

    def state(self, name: str) -> ResourceState | None:
        return self.installed().get(name)

    def take_away(self, names: Sequence[str], *, purge: bool) -> Mapping[str, str]:
        """One that something needs keeps the others from going at first."""
        there = self._there(names)
        if not there:
            return {}
        command = self.purge if purge else self.keep
        run([*command, *there], timeout_s=_RUN_TIMEOUT_S)
        stayed = {}
        for name in self._there(there):
            done = run([*command, name], timeout_s=_RUN_TIMEOUT_S)
            if self._there([name]):
                stayed[name] = "another package needs it" if done.ok else _reason(done)
        return stayed

    def farewell(self, names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        there = self._there(names)
        return ([*self.purge, *there] if there else []), {}

    def put_back(self, entry: LedgerEntry, now: Seen | None) -> None:
        version = state_before(entry).get("version")
        if (now is None and state_left(entry) is None) or (now is not None and now.state["version"] != version):
            raise DeployError(f"{entry.name} was here in version {version}", hint="install that version by hand")

    def _there(self, names: Sequence[str]) -> list[str]:
        versions = self.versions()
        return [name for name in names if name in versions]


def _change(command: Sequence[str], package: str) -> None:
    done = run(command, timeout_s=_RUN_TIMEOUT_S)
    if not done.ok:
        raise DeployError(f"{package}: {_reason(done)}")


def _reason(done: Completed) -> str:
    """The reason why a change was not made. pacman tells what needs a package beside its error, on stdout."""
    lines = plain_lines(done.output.decode(errors="replace"))
    needed = [line.removeprefix(":: ") for line in lines if line.startswith(":: ") and " required by " in line]
    return ", ".join(needed) or reason(done)


DATABASES = (
    *("/var/lib/dpkg/status", "/var/lib/dpkg/updates", "/var/lib/dpkg/arch"),
    *(
        f"{folder}/{file}"
        for folder in ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
        for file in ("rpmdb.sqlite", "Packages")
    ),
    *("/usr/lib/sysimage/rpm/Packages.db", "/lib/apk/db/installed", "/etc/apk/world"),
    *("/var/lib/pacman/local", "/var/lib/pacman/sync"),
)
"""Files and folders that change with the packages on a host, and not by being read."""

_RPM = ("rpm", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\\n", "-qa")
_PROVIDES = ("rpm", "--query", "--whatprovides")
_ERASE = ("rpm", "--erase")

MANAGERS: Mapping[str, OtherManager] = {
    manager.name: manager
    for manager in (
        OtherManager("dnf", _RPM, _PROVIDES, ("dnf", "install", "-y"), _ERASE, _ERASE, join="-"),
        OtherManager(
            "apk",
            listing=("apk", "list", "--installed"),
            provides=("apk", "info", "--installed"),
            install_command=("apk", "add"),
            keep=("apk", "del"),
            purge=("apk", "del", "--purge"),
            join="=",
            refresh=("apk", "update"),  # its lists may be missing altogether (`apk --no-cache` images)
        ),
        OtherManager(
            "pacman",
            listing=("pacman", "-Q"),
            provides=("pacman", "--deptest"),
            group=("pacman", "-Sgq"),
            install_command=("pacman", "--noconfirm", "-S"),
            keep=("pacman", "--noconfirm", "-R"),
            purge=("pacman", "--noconfirm", "-R", "--nosave"),
            join="",
        ),
        OtherManager(
            "zypper",
            _RPM,
            _PROVIDES,
            ("zypper", "--non-interactive", "install", "--oldpackage"),
            _ERASE,
            _ERASE,
            join="=",
        ),
    )
}
