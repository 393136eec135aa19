"""What dpkg knows, in one question, and what of it is not as it should be. Pure: text in, jobs out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

QUERY = (
    "dpkg-query",
    "--show",
    "--showformat=${Package}\\t${Architecture}\\t${db:Status-Abbrev}\\t${Version}\\t${Provides}\\t.\\n",
)
"""All packages that dpkg has heard of; 3 ms for a hundred of them. The dot keeps empty fields from being stripped."""

_FIELDS = 6

_THERE = frozenset("HUFWti")
"""Second letter of db:Status-Abbrev: anything but not-installed and config-files (dpkg-query(1))."""

_COMPLETE = frozenset("Wti")
"""Configured; a trigger may still wait to be run."""

_DAMAGED = "R"
"""Third letter: reinst-required. dpkg does not configure it, and to apt it is there already."""


@dataclass(frozen=True, slots=True)
class Installed:
    version: str
    complete: bool
    """False when an installation was cut off or its scripts failed."""
    held: bool


@dataclass(frozen=True, slots=True)
class Packages:
    """What is on the host. Packages of the host's own architecture, and of none, go by their plain name as well."""

    by_name: Mapping[str, Installed] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()
    """Names that complete packages provide beside their own."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Versions by name, where dpkg was cut off in the middle of the files: they have to be unpacked anew."""

    @property
    def interrupted(self) -> bool:
        return any(not installed.complete for installed in self.by_name.values())


@dataclass(frozen=True, slots=True)
class Holds:
    """Names of packages that are to be held, and of those that the agent itself has told dpkg to hold."""

    wanted: Collection[str] = frozenset()
    ours: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Job:
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
        """Of its resource. What the inventory does not name is nobody's: it is upgraded, and never taken back."""
        return f"package:{self.name}" if self.named else f"upgrade:{self.name}"

    @property
    def held(self) -> bool:
        """An administrator told the host to leave this package as it is (apt-mark hold), and Git does not say so."""
        return self.hold is None and self.found is not None and self.found.held and self.found.complete

    @property
    def argument(self) -> str:
        """How apt-get install is told (apt-get(8))."""
        if self.remove:
            return f"{self.name}-"
        return f"{self.name}={self.version}" if self.version else self.name

    @property
    def text(self) -> str:
        if not self.install:
            return f"hold {self.name}" if self.hold else f"unhold {self.name}"
        already = self.found is not None and self.found.held
        return f"{self._change} and hold it" if self.hold and not already else self._change

    @property
    def _change(self) -> str:
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


def parsed(output: str) -> Packages:
    """What ``QUERY`` wrote."""
    rows = [line.split("\t") for line in output.splitlines() if line.count("\t") == _FIELDS - 1]
    own = next((architecture for name, architecture, *_ in rows if name == "dpkg"), "")
    by_name: dict[str, Installed] = {}
    provided: set[str] = set()
    damaged: dict[str, str] = {}
    for name, architecture, status, version, provides, _ in rows:
        if status[1] not in _THERE:
            continue
        if status[2:].strip() == _DAMAGED:
            damaged[name if architecture in (own, "all") else f"{name}:{architecture}"] = version
        complete = status[1] in _COMPLETE and status[2:].isspace()
        installed = Installed(version, complete, held=status[0] == "h")
        by_name[f"{name}:{architecture}"] = installed
        if architecture in (own, "all"):
            by_name[name] = by_name[f"{name}:{own}"] = installed
        if complete:
            provided.update(part.split()[0] for part in provides.split(",") if part.strip())
    return Packages(by_name, frozenset(provided), damaged)


def unclear(packages: Packages, present: Iterable[str]) -> tuple[str, ...]:
    """Names that only another package provides: fine where they are virtual, not where such a package exists."""
    return tuple(name for name in present if name not in packages.by_name and name in packages.provided)


def jobs(
    packages: Packages,
    present: Mapping[str, str | None],
    absent: Iterable[str],
    virtual: frozenset[str] = frozenset(),
    holds: Holds = Holds(),
) -> tuple[Job, ...]:
    """What has to be done, in the order of the inventory. ``virtual``: those of ``unclear`` that no package bears."""
    wanted = [_wanted(packages, name, version, virtual, holds) for name, version in present.items()]
    unwanted = [
        Job(name, remove=True, found=packages.by_name[name], hold=_hold(name, packages.by_name[name], holds))
        for name in absent
        if name in packages.by_name
    ]
    return (*(job for job in wanted if job is not None), *unwanted)


def with_upgrades(
    packages: Packages, jobs: Iterable[Job], versions: Mapping[str, str], words: str, *, present: Iterable[str]
) -> tuple[Job, ...]:
    """``jobs``, and one for each package that is to get a newer version than the one it has.

    ``versions`` by name; ``words`` say what kind of upgrade it is. What is held, half installed or has a job already
    is left to that, but for a hold that is lifted: the upgrade was what it held back.
    """
    done = {id(packages.by_name[job.name]): job for job in jobs if job.name in packages.by_name}
    names = {id(packages.by_name[name]): name for name in present if name in packages.by_name}
    found = {job.name: job for job in jobs}
    for name, version in versions.items():
        installed = packages.by_name.get(name)
        if installed is None or not installed.complete:
            continue
        job = done.get(id(installed))
        if job is not None and not job.install and job.hold is False:
            found[job.name] = replace(job, install=True, version=version, upgrade=words)
        elif job is None and not installed.held:
            named = names.get(id(installed))
            found[named or name] = Job(
                named or name, version=version, found=installed, upgrade=words, named=named is not None
            )
    return tuple(found.values())


def done(packages: Packages, job: Job) -> bool:
    """Whether ``job`` is carried out; for a virtual package, whether another one provides it now."""
    if job.remove:
        return job.name not in packages.by_name
    if not _there(packages, job.name, job.version, packages.provided):
        return False
    return job.hold is None or packages.by_name[job.name].held == job.hold


def _wanted(packages: Packages, name: str, version: str | None, virtual: frozenset[str], holds: Holds) -> Job | None:
    found = packages.by_name.get(name)
    missing = not _there(packages, name, version, virtual)
    hold = _hold(name, found, holds) if missing or found is not None else None
    if not missing and (hold is None or found is None or found.held == hold):
        return None
    return Job(name, version=version, found=found, install=missing, hold=hold)


def _hold(name: str, found: Installed | None, holds: Holds) -> bool | None:
    if name in holds.wanted:
        return True
    return False if found is not None and found.held and name in holds.ours else None


def _there(packages: Packages, name: str, version: str | None, virtual: frozenset[str]) -> bool:
    installed = packages.by_name.get(name)
    if installed is None:
        return version is None and name in virtual
    return installed.complete and version in (None, installed.version)
