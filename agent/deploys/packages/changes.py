"""The changes that bring the host's packages to what is wanted. Pure: packages in, changes out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from agent.deploys.packages.dpkg import Installed, Packages


@dataclass(frozen=True, slots=True)
class Holds:
    """The names of the packages that are to be held, and of those that the agent holds."""

    wanted: Collection[str] = frozenset()
    ours: Collection[str] = frozenset()

    def on(self, name: str, found: Installed | None) -> bool | None:
        """True where the package is to be held in the end; False where the agent's own hold is to be lifted; None: left
        as it is."""
        if name in self.wanted:
            return True
        return False if found is not None and found.held and name in self.ours else None


@dataclass(frozen=True, slots=True)
class PackageChange:
    """The change of one package that is not as it should be. ``name``: as the inventory writes it.

    ``found``: the package as it is; None where it is not there. ``install``: False where only the hold differs.
    ``version``: the version to install; None: the one that apt chooses. ``hold``: True or False where it is to be held
    or not in the end; None: left as it is. ``upgrade``: the kind of upgrade (``security upgrade``, ``upgrade``), if it
    comes from the inventory's ``upgrades``. ``named``: True where the inventory names the package.
    """

    name: str
    remove: bool = False
    version: str | None = None
    found: Installed | None = None
    install: bool = True
    hold: bool | None = None
    upgrade: str = ""
    named: bool = True

    @property
    def key(self) -> str:
        """The key of its resource. A package that the inventory does not name is only upgraded, and never pruned."""
        return f"package:{self.name}" if self.named else f"upgrade:{self.name}"

    @property
    def is_held(self) -> bool:
        return self.found is not None and self.found.held

    @property
    def refused(self) -> bool:
        """True where an administrator holds the package on the host (apt-mark hold), and Git says nothing of a hold."""
        return self.hold is None and self.found is not None and self.found.held and self.found.complete

    @property
    def argument(self) -> str:
        """The package as an argument of apt-get install (apt-get(8)); with ``-`` behind it, apt removes it."""
        if self.remove:
            return f"{self.name}-"
        return f"{self.name}={self.version}" if self.version else self.name

    @property
    def text(self) -> str:
        if not self.install:
            return f"hold {self.name}" if self.hold else f"unhold {self.name}"
        return f"{self._words} and hold it" if self.hold and not self.is_held else self._words

    @property
    def _words(self) -> str:
        if self.remove:
            return f"remove {self.name}"
        if self.upgrade and self.found is not None:
            return f"{self.upgrade} {self.found.version} → {self.version}"
        wanted = f"{self.name} {self.version}" if self.version else self.name
        if self.found is None:
            return f"install {wanted}"
        if not self.found.complete:
            return f"install {wanted}, which is half installed"
        return f"install {wanted} in place of {self.found.version}"

    def done(self, packages: Packages) -> bool:
        """True where ``packages`` are as this change wants. A virtual package is there if another one provides it."""
        if self.remove:
            return self.name not in packages.by_name
        if not _there(packages, self.name, self.version, packages.provided):
            return False
        return self.hold is None or packages.by_name[self.name].held == self.hold


def unclear(packages: Packages, present: Iterable[str]) -> tuple[str, ...]:
    """The names in ``present`` that only another package provides. Nothing is missing where such a name is virtual; a
    package of that name would have to be installed."""
    return tuple(name for name in present if name not in packages.by_name and name in packages.provided)


def changes(
    packages: Packages,
    present: Mapping[str, str | None],
    absent: Iterable[str],
    virtual: frozenset[str] = frozenset(),
    holds: Holds = Holds(),
) -> tuple[PackageChange, ...]:
    """The changes, in the order of the inventory. ``present``: versions by name, None for any. ``virtual``: the names
    of ``unclear`` that no package has."""
    due = []
    for name, version in present.items():
        found, missing = packages.by_name.get(name), not _there(packages, name, version, virtual)
        hold = holds.on(name, found) if missing or found is not None else None
        if missing or (hold is not None and found is not None and found.held != hold):
            due.append(PackageChange(name, version=version, found=found, install=missing, hold=hold))
    there = {name: packages.by_name[name] for name in absent if name in packages.by_name}
    going = (PackageChange(name, remove=True, found=found, hold=holds.on(name, found)) for name, found in there.items())
    return (*due, *going)


def with_upgrades(
    packages: Packages, due: Iterable[PackageChange], versions: Mapping[str, str], words: str, *, present: Iterable[str]
) -> tuple[PackageChange, ...]:
    """``due``, and a change for each package that is to get a newer version than the one it has.

    ``versions``: the newer versions by name. ``words``: the kind of upgrade. Packages that are held or half installed
    get no upgrade, nor do those in ``due``. The exception is a change that only lifts a hold: the upgrade is added to
    it.
    """
    known = {id(packages.by_name[change.name]): change for change in due if change.name in packages.by_name}
    names = {id(packages.by_name[name]): name for name in present if name in packages.by_name}
    found = {change.name: change for change in due}
    for name, version in versions.items():
        installed = packages.by_name.get(name)
        if installed is None or not installed.complete:
            continue
        change = known.get(id(installed))
        if change is not None and not change.install and change.hold is False:
            found[change.name] = replace(change, install=True, version=version, upgrade=words)
        elif change is None and not installed.held:
            named = names.get(id(installed))
            found[named or name] = PackageChange(
                named or name, version=version, found=installed, upgrade=words, named=named is not None
            )
    return tuple(found.values())


def _there(packages: Packages, name: str, version: str | None, virtual: frozenset[str]) -> bool:
    installed = packages.by_name.get(name)
    if installed is None:
        return version is None and name in virtual
    return installed.complete and version in (None, installed.version)
