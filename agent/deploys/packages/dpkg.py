"""The host's packages as dpkg knows them, by one question: text in, packages out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_FIELDS = ["Package", "Architecture", "db:Status-Abbrev", "Version", "Provides", "Essential", "Protected", "Recommends"]

QUERY = ("dpkg-query", "--show", "--showformat=" + "".join(f"${{{field}}}\\t" for field in _FIELDS) + ".\\n")
"""All packages that dpkg has heard of; 3 ms for a hundred of them. The dot keeps empty fields from being stripped."""

_THERE = frozenset("HUFWti")
"""Second letter of db:Status-Abbrev: anything but not-installed and config-files (dpkg-query(1))."""

_COMPLETE = frozenset("Wti")
"""Configured; a trigger may still wait to be run."""

_CONFIGURATION = "c"
"""Removed, its configuration still there."""

_DAMAGED = "R"
"""Third letter: reinst-required. dpkg does not configure it, and to apt it is there already."""

_RECOMMENDED = re.compile(r"(?:^|[,|] )([a-z0-9][a-z0-9.+-]+)")


@dataclass(frozen=True, slots=True)
class Installed:
    """One package. ``complete``: False when an installation was cut off or its scripts failed. ``damaged``: dpkg was
    cut off in the middle of the files; they have to be unpacked anew. ``vital``: Essential or Protected
    (deb-control(5)). ``name`` has the architecture where that is not the host's own."""

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
    """The packages on the host. Those of its own architecture, and of none, go by their plain name as well.

    ``provided``: names that complete packages provide beside their own. ``configured``: names of packages that were
    removed and left their configuration.
    """

    by_name: Mapping[str, Installed] = field(default_factory=dict)
    provided: frozenset[str] = frozenset()
    configured: frozenset[str] = frozenset()

    @property
    def installed(self) -> Mapping[str, Installed]:
        """Each package once, by the name that apt calls it."""
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
    """The inode and time of dpkg's database, which each run of dpkg writes anew. Raises OSError."""
    found = os.stat("/var/lib/dpkg/status")  # noqa: PTH116
    return found.st_ino, found.st_mtime_ns
