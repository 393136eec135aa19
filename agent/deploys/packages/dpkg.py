"""The host's packages as dpkg knows them, read from the output of one command; and a record of the packages that the
agent itself told dpkg to hold, an empty file for each.

dpkg does not say who asked for a hold. A hold that Git wanted and wants no more is lifted; an administrator's is not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, write_atomic

_FIELDS = ["Package", "Architecture", "db:Status-Abbrev", "Version", "Provides", "Essential", "Protected", "Recommends"]

QUERY = ("dpkg-query", "--show", "--showformat=" + "".join(f"${{{field}}}\\t" for field in _FIELDS) + ".\\n")
"""The command that prints all packages in dpkg's database; 3 ms for a hundred of them. The dot at the end keeps empty
fields from being stripped."""

_THERE = frozenset("HUFWti")
"""Second letter of db:Status-Abbrev (dpkg-query(1)) of a package that is there, also in part: any but those of
not-installed and config-files."""

_COMPLETE = frozenset("Wti")
"""Second letter of a package that is configured; a trigger may still wait to be run."""

_CONFIGURATION = "c"
"""Second letter of a package that was removed and left its configuration."""

_DAMAGED = "R"
"""Third letter: reinst-required. dpkg does not configure such a package, and apt takes it for installed."""

HOLDS = Paths().var / "holds"

_RECOMMENDED = re.compile(r"(?:^|[,|] )([a-z0-9][a-z0-9.+-]+)")


@dataclass(frozen=True, slots=True)
class Installed:
    """One package on the host. ``name``: with the architecture where that is not the host's own. ``complete``: False
    where an installation was cut off or its scripts failed. ``damaged``: dpkg was cut off while it unpacked the files,
    and has to unpack them anew. ``vital``: Essential or Protected (deb-control(5))."""

    version: str
    complete: bool
    held: bool
    name: str = ""
    damaged: bool = False
    vital: bool = False
    recommended: str = ""

    @property
    def recommends(self) -> frozenset[str]:
        return frozenset(_RECOMMENDED.findall(self.recommended))


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages on the host. ``by_name`` has each under its name with the architecture; those of the host's own
    architecture, and of all, under their plain name as well.

    ``provided``: the names that complete packages provide beside their own. ``configured``: the names of packages that
    were removed and left their configuration.
    """

    by_name: Mapping[str, Installed] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()
    configured: frozenset[str] = frozenset()

    @property
    def installed(self) -> Mapping[str, Installed]:
        """Each package once, by the name that apt has for it."""
        return {found.name: found for found in self.by_name.values()}

    @property
    def interrupted(self) -> bool:
        return any(not found.complete for found in self.by_name.values())


def parsed(output: str) -> Packages:
    """The packages in the output of ``QUERY``."""
    rows = [line.split("\t") for line in output.splitlines() if line.count("\t") == len(_FIELDS)]
    own = next((architecture for name, architecture, *_ in rows if name == "dpkg"), "")
    by_name: dict[str, Installed] = {}
    provided: set[str] = set()
    configured: set[str] = set()
    for plain, architecture, status, version, provides, essential, protected, recommended, _ in rows:
        ours = architecture in (own, "all")
        name = plain if ours else f"{plain}:{architecture}"
        if status[1] not in _THERE:
            configured |= {name} if status[1] == _CONFIGURATION else set()
            continue
        found = Installed(
            version,
            complete=status[1] in _COMPLETE and status[2:].isspace(),
            held=status[0] == "h",
            name=name,
            damaged=status[2:].strip() == _DAMAGED,
            vital="yes" in (essential, protected),
            recommended=recommended,
        )
        by_name[f"{plain}:{architecture}"] = found
        if ours:
            by_name[plain] = by_name[f"{plain}:{own}"] = found
        if found.complete:
            provided.update(part.split()[0] for part in provides.split(",") if part.strip())
    return Packages(by_name, frozenset(provided), frozenset(configured))


def status_file() -> tuple[int, int]:
    """The inode and the mtime (ns) of dpkg's database, which each run of dpkg writes anew. Raises OSError."""
    found = os.stat("/var/lib/dpkg/status")  # noqa: PTH116
    return found.st_ino, found.st_mtime_ns


def our_holds(folder: Path = HOLDS) -> frozenset[str]:
    """The names of the packages that the agent holds, as the inventory wrote them. Raises OSError where the record
    cannot be read."""
    return frozenset(file.name for file in folder.iterdir()) if folder.is_dir() else frozenset()


def claim_holds(names: Iterable[str], folder: Path = HOLDS) -> None:
    """Record that the agent holds these packages. Call it before they are held: one file too many is harmless, but a
    hold without a file is never lifted."""
    make_private_folder(folder)
    for name in names:
        write_atomic(folder / name, b"", mode=0o600)


def disclaim_holds(names: Collection[str], folder: Path = HOLDS) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
