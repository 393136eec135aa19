"""Packages outside of any deploy: looked at, taken away all at once, and given back as they were."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agent.deploys.kind import Kind, State, state_before, state_left
from agent.deploys.packages import apt, holds, removal
from agent.deploys.packages.besides_apt import Manager, manager_of_host
from agent.deploys.packages.dpkg import Installed
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError
from agent.host.baseline import read_baseline
from agent.host.paths import Paths

_AUTO = Path("/var/lib/apt/extended_states")
_STATUS = Path("/var/lib/dpkg/status")
_JOURNAL = Path("/var/lib/dpkg/updates")
"""Where dpkg writes what it is about to put into its status."""


def packages_of_host() -> Kind:
    """The kind ``package`` by the package manager of this host."""
    manager = manager_of_host()
    return AptPackages(Paths()) if manager is None else OtherPackages(manager)


class AptPackages(Kind):
    """State: ``version``, ``held`` (apt-mark hold) and ``auto`` (it came along as a dependency)."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def look(self, name: str) -> Seen | None:
        installed = _installed().get(name)
        if installed is None:
            return None
        return Seen({"version": installed.version, "held": installed.held, "auto": name in auto_installed()})

    def changed(self, left: State, now: Seen) -> str:
        """A newer version is no change by a person."""
        return "held on this host" if now.state.get("held") and not left.get("held") else ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        names = [entry.name for entry in entries]
        stayed = removal.take_away(names, purge=purge, baseline=read_baseline(self._paths))
        for name in names:
            self._let_go(name)
        return {entry.key: stayed[entry.name] for entry in entries if entry.name in stayed}

    def release(self, entry: LedgerEntry) -> None:
        """Lets go of what the agent held."""
        self._let_go(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        name, before, left = entry.name, state_before(entry), state_left(entry)
        apt.mend()
        now = self.look(name)
        if now is None and left is not None:
            return  # The agent left it there: somebody else took it away since.
        version = before.get("version")
        put_back = now is None or (version != now.state["version"] and _same(left, now, "version"))
        if put_back:
            removal.put_back(name, f"{version}")
            now = self.look(name)
        if now is None:
            raise DeployError(f"apt ended well, but {name} {version} is not there")
        for field, on, off in (("held", "hold", "unhold"), ("auto", "auto", "manual")):
            if before.get(field) != now.state[field] and (put_back or _same(left, now, field)):
                apt.mark(on if before.get(field) else off, [name])
        holds.disclaim([name])

    def _let_go(self, name: str) -> None:
        """Also where it is gone: whoever holds it later is somebody else."""
        if name not in holds.ours():
            return
        now = self.look(name)
        if now is not None and now.state["held"]:
            apt.mark("unhold", [name])
        holds.disclaim([name])


class OtherPackages(Kind):
    """State: ``version``."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def look(self, name: str) -> Seen | None:
        version = self._manager.version(name)
        return None if version is None else Seen({"version": version})

    def changed(self, left: State, now: Seen) -> str:
        del left, now
        return ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        stayed = self._manager.take_away([entry.name for entry in entries], purge=purge)
        return {entry.key: stayed[entry.name] for entry in entries if entry.name in stayed}

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        now, version = self.look(entry.name), state_before(entry).get("version")
        if (now is None and state_left(entry) is None) or (now is not None and now.state["version"] != version):
            raise DeployError(f"{entry.name} was here in version {version}", hint="install that version by hand")


def auto_installed() -> frozenset[str]:
    """Names, and names with their architecture, of the packages that came along as dependencies (apt-mark(8))."""
    try:
        text = _AUTO.read_text()
    except FileNotFoundError:
        return frozenset()
    found: set[str] = set()
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if fields.get("Auto-Installed") == "1":
            found |= {fields["Package"], f"{fields['Package']}:{fields['Architecture']}"}
    return frozenset(found)


def _installed() -> Mapping[str, Installed]:
    """What dpkg says, asked once for as long as nothing changes: a ledger looks at packages one by one."""
    stamps = [path.stat() for path in (_STATUS, _JOURNAL)]
    return _installed_at(tuple((stamp.st_ino, stamp.st_mtime_ns, stamp.st_size) for stamp in stamps))


@lru_cache(maxsize=1)
def _installed_at(stamps: object) -> Mapping[str, Installed]:
    del stamps
    return apt.query().by_name


def installed() -> frozenset[str]:
    """Names of all packages on the host; with their architecture where that is not its own."""
    manager = manager_of_host()
    if manager is not None:
        return frozenset(manager.versions())
    return removal.installed() if shutil.which("dpkg-query") else frozenset()


def came_since(before: Collection[str], asked: Collection[str]) -> Mapping[str, Seen]:
    """Packages that are on the host and were not ``before``: those that were ``asked`` for and what came along with
    them, as far as that can be told from what somebody else installed meanwhile."""
    new = installed() - frozenset(before)
    if manager_of_host() is not None:
        kind = packages_of_host()
        return {name: seen for name in sorted(new) if (seen := kind.look(name)) is not None}
    auto, known = auto_installed(), _installed()
    return {
        name: Seen({"version": known[name].version, "held": known[name].held, "auto": name in auto})
        for name in sorted(new)
        if name in auto or name in asked
    }


def farewell(names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command that takes packages away for good, for whoever will not be there to run it; empty where nothing
    goes. And by name why some have to stay. Raises DeployError."""
    manager = manager_of_host()
    if manager is not None:
        there = [name for name in names if manager.version(name) is not None]
        return ([*manager.command(purge=True), *there] if there else []), {}
    apt.mend()
    parting = removal.parting(names, purge=True, baseline=read_baseline(Paths()))
    return parting.command(purge=True), parting.stayed


def environment() -> Mapping[str, str]:
    """What the command of ``farewell`` is to be run in: nothing in it leads to a question."""
    return apt.environment()


def _same(left: State | None, now: Seen, field: str) -> bool:
    return left is None or left.get(field) == now.state[field]
