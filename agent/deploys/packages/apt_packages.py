"""The host's packages by apt and dpkg, for the ledger: what is installed, removing packages, and putting them back.

A package that is not named stays. The exception is a dependency that came along with a package that is removed and that
nothing else needs: it is removed too, if it was not on the host before the agent. Packages that were unneeded before
the removal stay.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agent.deploys.kind import ResourceState, reason_of, state_before, state_left
from agent.deploys.packages import apt, dpkg
from agent.deploys.packages.changes import PackageChange
from agent.deploys.packages.dpkg import Installed, Packages
from agent.deploys.packages.package import PackageManager
from agent.deploys.packages.transaction import Transaction
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError
from agent.host.baseline import read_baseline
from agent.host.paths import Paths

_AUTO = Path("/var/lib/apt/extended_states")
_SOURCES = (Path("/var/lib/dpkg/status"), Path("/var/lib/dpkg/updates"), _AUTO)
"""dpkg's database, its journal, and apt's record of the packages that came along as dependencies."""

_FOR_GOOD = {"SUDO_FORCE_REMOVE": "yes"}
"""Without this, the package sudo cannot be removed where root has no password. It is removed for good only where the
agent brought it: people became root in another way before, and do so again."""

_HELD_TOO = "--allow-change-held-packages"
"""apt-get may remove held packages. The agent itself holds them: one that somebody else holds counts as changed, and is
not removed."""

_ONLY_WHAT_IS_NEEDED = (
    "--option=APT::AutoRemove::SuggestsImportant=false",
    "--option=APT::AutoRemove::RecommendsImportant=false",
)
"""Without these, apt would keep every package that another one suggests or recommends, also where that other one was on
the host without it before the agent."""


class AptPackages(PackageManager):
    def installed(self) -> Mapping[str, ResourceState]:
        packages, automatic = _known()
        return {name: _state(found, automatic) for name, found in packages.installed.items()}

    def state(self, name: str) -> ResourceState | None:
        packages, automatic = _known()
        return _state(packages.by_name[name], automatic) if name in packages.by_name else None

    def take_away(self, names: Sequence[str], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        removal = PackageRemoval(names, purge=purge, wanted=wanted)
        if removal.changes:
            removal.run(removal.changes)
        return removal.stayed

    def removal_command(self, names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        apt.mend()
        removal = PackageRemoval(names, purge=True)
        going = removal.possible(removal.changes)
        return (apt.command(*removal.arguments(going)) if going else ()), removal.stayed

    def put_back(self, entry: LedgerEntry, now: Seen | None) -> None:
        name, before, left = entry.name, state_before(entry), state_left(entry)
        if now is None and left is not None:
            return  # The agent left it there: somebody else took it away since.

        def ours(field: str) -> bool:
            """True where ``field`` is not as before, and nobody else changed it since the agent left it."""
            differs = now is None or before.get(field) != now.state[field]
            return differs and (now is None or left is None or left.get(field) == now.state[field])

        comes = ours("version")
        hold = bool(before.get("held")) if comes or ours("held") else None
        if comes or hold is not None:
            version = f"{before.get('version')}"
            found = apt.query().by_name.get(name)
            change = PackageChange(name, version=version if comes else None, found=found, install=comes, hold=hold)
            transaction = Transaction(recommends=False)
            transaction.run([change])
            if refusal := transaction.refusals[name]:
                raise DeployError(f"{name} {version} cannot be had any more: {reason_of(refusal)}")
        there = self.state(name) or {}
        if bool(before.get("auto")) != there["auto"] and (comes or ours("auto")):
            apt.mark("auto" if before.get("auto") else "manual", [name])
        dpkg.disclaim_holds([name])

    def release(self, name: str) -> None:
        """Lift the agent's own hold on a package. Where that is gone, only the record of the hold is removed: a later
        hold is somebody else's."""
        if name not in dpkg.our_holds():
            return
        now = self.state(name)
        if now is not None and now["held"]:
            apt.mark("unhold", [name])
        dpkg.disclaim_holds([name])


class PackageRemoval(Transaction):
    """A removal of packages, with the dependencies that came along with them. ``changes``: the removals of those of
    ``names`` that are there and that the system can do without. ``wanted``: packages that Git wants. They and what they
    need stay, though they came as dependencies. Raises DeployError where dpkg cannot be asked."""

    def __init__(self, names: Sequence[str], *, purge: bool, wanted: Collection[str] = ()) -> None:
        options = [_HELD_TOO, "--purge"] if purge else [_HELD_TOO]
        super().__init__(options=options, environment=_FOR_GOOD if purge else {})
        self._names = names
        self._packages = packages = apt.query()
        self._wanted = {name for name in wanted if name in packages.by_name}
        there = [name for name in names if name in packages.by_name or (purge and name in packages.configured)]
        self._vital = [name for name in there if name in packages.by_name and packages.by_name[name].vital]
        self.changes = [
            PackageChange(name, remove=True, found=packages.by_name.get(name), hold=False)
            for name in there
            if name not in self._vital
        ]

    @property
    def stayed(self) -> Mapping[str, str]:
        """The reasons why some of ``names`` stay, by name."""
        refusals = {name: error for name, error in self.refusals.items() if error is not None and name in self._names}
        return {
            **dict.fromkeys(self._vital, "the system cannot do without it"),
            **{name: reason_of(error) for name, error in refusals.items()},
        }

    def possible(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        kept = super().possible(changes)
        baseline = read_baseline(Paths())
        # Where it is not known what was on the host before the agent, only the named packages go.
        along = [] if baseline is None or not kept else self._along([change.name for change in kept], baseline)
        more = [*kept, *(PackageChange(name, remove=True) for name in along)]
        return more if self.refusal(more, [change.name for change in more]) is None else kept

    def refusal(self, changes: Sequence[PackageChange], going: Collection[str]) -> DeployError | None:
        try:
            dry = apt.dry_run(*self.arguments(changes))
        except DeployError as error:
            return error
        others = apt.unnamed([*dry.goes, *dry.comes], going)
        return DeployError(f"{', '.join(others)} need{'s' * (len(others) == 1)} it") if others else None

    def _along(self, going: Sequence[str], baseline: Collection[str]) -> list[str]:
        there = self._packages.installed
        stays = {*self._unneeded((), baseline), *going, *baseline}
        return [
            name
            for name in self._unneeded(going, baseline)
            if name not in stays and name in there and not there[name].held
        ]

    def _unneeded(self, going: Sequence[str], baseline: Collection[str]) -> Sequence[str]:
        """The packages that no other needs once ``going`` are removed. A package that stays needs those that it
        recommends, unless it was on the host before the agent."""
        kept = self._wanted.difference(going)
        while True:
            names = (*going, *(f"{name}+" for name in sorted(kept)))
            gone = apt.dry_run(_HELD_TOO, *_ONLY_WHAT_IS_NEEDED, "--auto-remove", "remove", *names).goes
            staying = self._packages.installed.keys() - {*gone, *going, *baseline}
            recommended = {name for stays in staying for name in self._packages.installed[stays].recommends}
            if not (more := recommended.intersection(gone) - kept):
                return list(gone)
            kept |= more


def _state(found: Installed, automatic: Collection[str]) -> ResourceState:
    return {"version": found.version, "held": found.held, "auto": found.name in automatic}


def _known() -> tuple[Packages, Collection[str]]:
    """The packages on the host, and the names of those that came along as dependencies (apt-mark(8)). The ledger looks
    at one package after another, so dpkg is asked again only after its files changed."""
    stats = [path.stat() for path in _SOURCES if path.exists()]
    return _known_at(tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats))


@lru_cache(maxsize=1)
def _known_at(stamps: object) -> tuple[Packages, Collection[str]]:
    del stamps
    packages = apt.query()
    automatic: set[str] = set()
    for stanza in _AUTO.read_text().split("\n\n") if _AUTO.exists() else ():
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if fields.get("Auto-Installed") == "1":
            found = packages.by_name.get(f"{fields['Package']}:{fields['Architecture']}")
            automatic |= {found.name} if found is not None else set()
    return packages, automatic
