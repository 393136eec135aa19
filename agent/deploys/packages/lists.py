"""apt's package lists: their age, the sources file that each came by, and fetching them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys.packages import apt
from agent.errors import DeployError

SOURCES = "/etc/apt/sources.list.d"
_KEYRINGS = "/etc/apt/keyrings"

_TIMEOUT_S = 300.0
_LOCK = Path("/var/lib/apt/lists/lock")
_FOLDERS = (Path("/var/lib/apt/lists"), Path("/var/lib/apt/lists/partial"))
"""The folders whose mtime tells of the last update. Every update writes to ``partial``, also one without news."""

_UPDATE = ("--option=APT::Update::Error-Mode=any", "update")
"""Without the option, apt-get update ends with exit code 0 where servers could not be reached."""

_LISTED = ("apt-get", "indextargets", "--format", "$(SOURCESENTRY)|$(FILENAME)", "Created-By: Packages")
"""The command that prints each package list on the host, with the entry of the sources file that it came by; 30 ms."""


def age_s() -> float:
    """Seconds since package lists were last fetched; those since 1970 where they never were."""
    return time.time() - max((folder.stat().st_mtime for folder in _FOLDERS if folder.exists()), default=0.0)


def refresh() -> str:
    """Fetch all package lists. Returns why some could not be fetched, empty where all were; the others are used. Raises
    DeployError where another program holds their lock."""
    apt.wait_for(_LOCK)
    try:
        apt.apt_get(*_UPDATE, timeout_s=_TIMEOUT_S)
    except DeployError as error:
        return error.message
    return ""


def fetch(sources: Path) -> None:
    """Fetch only the lists of the repositories in one sources file. Raises DeployError where they cannot be fetched.

    The lists that are there from it are removed before: they may have been checked with another key.
    """
    apt.wait_for(_LOCK)
    for file in by_sources().get(f"{sources}", ()):
        Path(file).unlink(missing_ok=True)
    times = {folder: folder.stat() for folder in _FOLDERS if folder.exists()}
    only = (f"--option=Dir::Etc::SourceList={sources}", "--option=Dir::Etc::SourceParts=/dev/null")
    try:
        apt.apt_get(*only, "--option=APT::Get::List-Cleanup=0", *_UPDATE, timeout_s=_TIMEOUT_S)
    finally:
        for folder, status in times.items():
            os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))  # the other lists are as old as they were


def by_sources() -> Mapping[str, Sequence[str]]:
    """The paths of the package lists that are there, by the sources file that they came by."""
    return listed_in(apt.ask(_LISTED))


def listed_in(output: str) -> Mapping[str, Sequence[str]]:
    """The paths of package lists by sources file, read from the output of ``apt-get indextargets``."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        entry, _, file = line.partition("|")
        found.setdefault(entry.rpartition(":")[0], []).append(file)
    return found


def require_sources() -> None:
    """Raise DeployError if apt cannot read all its sources together, for instance because two of them name the same
    repository with different keys."""
    apt.require(_LISTED)


def keyring_of(sources: str) -> str:
    """The path of a repository's keyring, by its sources file."""
    name = sources.removeprefix(f"{SOURCES}/").removesuffix(".sources")
    return f"{_KEYRINGS}/{name}.asc"
