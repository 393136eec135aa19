"""The changes that make packages as wanted. Pure: what dpkg knows in, changes out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from agent.deploys.packages.dpkg import Installed, Packages


@dataclass(frozen=True, slots=True)
class Holds:
    """Names of packages that are to be held, and of those that the agent itself has told dpkg to hold."""

    wanted: Collection[str] = frozenset()
    ours: Collection[str] = frozenset()

    def on(self, name: str, found: Installed | None) -> bool | None:
        """True where the package is to be held in the end, False where not; None: as it is."""
        if name in self.wanted:
            return True
        return False if found is not None and found.held and name in self.ours else None


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that is not as it should be. ``name`` as the inventory writes it.

    ``install``: apt has to do something, beyond what ``hold`` says. ``version``: the one to install; None: whichever
    apt would choose. ``hold``: whether it is held in the end; None: as it is. ``upgrade``: which kind of upgrade it
    is, where it is one that no single package was named for. ``named``: whether the inventory has its name.
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
        """An administrator told the host to leave this package as it is (apt-mark hold), and Git does not say so."""
        return self.hold is None and self.found is not None and self.found.held and self.found.complete

    @property
    def argument(self) -> str:
        """The argument of apt-get install (apt-get(8))."""
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
        """True where it is carried out; of a virtual package, where another one provides it now."""
        if self.remove:
            return self.name not in packages.by_name
        if not _there(packages, self.name, self.version, packages.provided):
            return False
        return self.hold is None or packages.by_name[self.name].held == self.hold


def unclear(packages: Packages, present: Iterable[str]) -> tuple[str, ...]:
    """Names that only another package provides: fine where they are virtual, not where such a package exists."""
    return tuple(name for name in present if name not in packages.by_name and name in packages.provided)


def changes(
    packages: Packages,
    present: Mapping[str, str | None],
    absent: Iterable[str],
    virtual: frozenset[str] = frozenset(),
    holds: Holds = Holds(),
) -> tuple[PackageChange, ...]:
    """The changes, in the order of the inventory. ``virtual``: names of ``unclear`` that no package bears."""
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

    ``versions`` by name; ``words`` say what kind of upgrade it is. What is held, half installed or changes already
    is left to that, but for a hold that is lifted: the upgrade was what it held back.
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
