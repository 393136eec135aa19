"""What dpkg knows, in one question, and what of it is not as it should be. Pure: text in, jobs out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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

    @property
    def interrupted(self) -> bool:
        return any(not installed.complete for installed in self.by_name.values())


@dataclass(frozen=True, slots=True)
class Job:
    """One package that is not as it should be. ``name`` as the inventory writes it."""

    name: str
    remove: bool = False
    version: str | None = None
    """The one to install; None: whichever apt would choose."""
    found: Installed | None = None

    @property
    def held(self) -> bool:
        """An administrator told the host to leave this package as it is (apt-mark hold)."""
        return self.found is not None and self.found.held and self.found.complete

    @property
    def argument(self) -> str:
        """How apt-get install is told (apt-get(8))."""
        if self.remove:
            return f"{self.name}-"
        return f"{self.name}={self.version}" if self.version else self.name

    @property
    def text(self) -> str:
        if self.remove:
            return f"remove {self.name}"
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
    for name, architecture, status, version, provides, _ in rows:
        if status[1] not in _THERE:
            continue
        complete = status[1] in _COMPLETE and status[2:].isspace()
        installed = Installed(version, complete, held=status[0] == "h")
        by_name[f"{name}:{architecture}"] = installed
        if architecture in (own, "all"):
            by_name[name] = by_name[f"{name}:{own}"] = installed
        if complete:
            provided.update(part.split()[0] for part in provides.split(",") if part.strip())
    return Packages(by_name, frozenset(provided))


def unclear(packages: Packages, present: Iterable[str]) -> tuple[str, ...]:
    """Names that only another package provides: fine where they are virtual, not where such a package exists."""
    return tuple(name for name in present if name not in packages.by_name and name in packages.provided)


def jobs(
    packages: Packages, present: Mapping[str, str | None], absent: Iterable[str], virtual: frozenset[str] = frozenset()
) -> tuple[Job, ...]:
    """What has to be done, in the order of the inventory. ``virtual``: those of ``unclear`` that no package bears."""
    wanted = [
        Job(name, version=version, found=packages.by_name.get(name))
        for name, version in present.items()
        if not _there(packages, name, version, virtual)
    ]
    unwanted = [Job(name, remove=True, found=packages.by_name[name]) for name in absent if name in packages.by_name]
    return (*wanted, *unwanted)


def done(packages: Packages, job: Job) -> bool:
    """Whether ``job`` is carried out; for a virtual package, whether another one provides it now."""
    if job.remove:
        return job.name not in packages.by_name
    return _there(packages, job.name, job.version, packages.provided)


def _there(packages: Packages, name: str, version: str | None, virtual: frozenset[str]) -> bool:
    installed = packages.by_name.get(name)
    if installed is None:
        return version is None and name in virtual
    return installed.complete and version in (None, installed.version)
