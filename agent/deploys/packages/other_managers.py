"""dnf, apk, pacman, zypper: the commands of each to list, install and remove packages.

None of these commands removes a package that is not named: rpm and pacman refuse where another package needs one, apk
leaves it there. (``dnf remove`` and ``zypper remove`` would remove those that need it, so rpm is used instead.)
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
"""The versions of each installed package, by name; a kernel may be there in several."""


@dataclass(frozen=True, slots=True)
class OtherManager(PackageManager):
    """One package manager, by its commands, to which the names of packages are appended.

    ``listing`` prints name and version of one package a line. ``provides`` ends with exit code 0 where an installed
    package provides a name. ``group`` prints the packages of a group; empty: it has no groups. ``keep`` and ``purge``
    remove packages: ``keep`` leaves changed configuration files, ``purge`` removes them where the manager can.
    ``refresh`` fetches package lists; empty: the agent never fetches them. ``join`` stands between name and version;
    empty: there is one version of each package.
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
        """The versions of all installed packages. Raises DeployError."""
        done = run(self.listing, timeout_s=_QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT)
        if not done.ok:
            raise DeployError(f"{self.listing[0]} does not say what is installed: {reason(done)}")
        found: dict[str, set[str]] = defaultdict(set)
        for line in done.output.decode(errors="replace").splitlines():
            name, version = self._read(line)
            found[name].add(version)
        return found

    def _read(self, line: str) -> tuple[str, str]:
        """Name and version in a line of ``listing``. apk writes name, version and release in one word."""
        package, _, version = line.partition(" ")
        if self.name != "apk":
            return package, version
        name = package.rsplit("-", 2)[0]
        return name, package.removeprefix(f"{name}-")

    def has(self, there: Versions, name: str, version: str | None) -> bool:
        """True where this version is in ``there``, with or without the distribution's release number behind it. Version
        None: any will do, also a package that provides the name, or a group of which every package is there."""
        if version is not None:
            if self.listing is _RPM:
                version = version.rpartition(":")[2]  # the listing has no epochs
            return any(f"{each}-".startswith(f"{version}-") for each in there.get(name, ()))
        return name in there or self._query(self.provides, name).ok or self._has_group(there, name)

    def _has_group(self, there: Versions, name: str) -> bool:
        members = self._query(self.group, name).output.decode(errors="replace").split() if self.group else []
        return bool(members) and all(member in there for member in members)

    def _query(self, command: Sequence[str], name: str) -> Completed:
        return run([*command, name], timeout_s=_QUERY_TIMEOUT_S)

    def pinned(self, name: str, version: str | None) -> str:
        """A package as the manager's commands take it. Raises DeployError for a version if the manager has only one."""
        if version is not None and not self.join:
            raise DeployError(
                f"{name}={version}: {self.name} has one version of each package", hint="leave the version out"
            )
        return f"{name}{self.join}{version}" if version is not None else name

    def install(self, package: str, lists: bool) -> None:
        """Install a ``pinned`` package; with ``lists``, fetch the package lists before. Raises DeployError."""
        if lists and self.refresh:
            _change(self.refresh, package)
        _change([*self.install_command, package], package)

    def erase(self, name: str) -> None:
        """Remove a package; its changed configuration files stay. Raises DeployError."""
        _change([*self.keep, name], name)

    def installed(self) -> Mapping[str, ResourceState]:
        return {name: {"version": max(versions)} for name, versions in self.versions().items()}

    def state(self, name: str) -> ResourceState | None:
        return self.installed().get(name)

    def take_away(self, names: Sequence[str], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        """Remove packages together, then each that is still there by itself: one that another package needs keeps all
        of them at first. Returns, by name, why some stay."""
        del wanted  # nothing goes along but with apk, whose /etc/apk/world names what was asked for
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

    def removal_command(self, names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
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
    """The reason why a change was not made. pacman writes its error to stderr, but what needs a package to stdout."""
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
