"""apt's package lists: how old they are, which repository each came from, and fetching them."""

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
"""``partial`` is written to by every update, also by one that finds nothing new."""

_UPDATE = ("--option=APT::Update::Error-Mode=any", "update")
"""Without the option apt-get update ends well when servers could not be reached."""

_LISTED = ("apt-get", "indextargets", "--format", "$(SOURCESENTRY)|$(FILENAME)", "Created-By: Packages")
"""Prints each package list that is there, with the entry of the sources file that it came by; takes 30 ms."""


def age_s() -> float:
    """Seconds since package lists were last fetched; many where they never were."""
    return time.time() - max((folder.stat().st_mtime for folder in _FOLDERS if folder.exists()), default=0.0)


def refresh() -> str:
    """Fetches the package lists. Where some cannot be had, the others count; returns why, empty where all were had."""
    apt.wait_for(_LOCK)
    try:
        apt.apt_get(*_UPDATE, timeout_s=_TIMEOUT_S)
    except DeployError as error:
        return error.message
    return ""


def fetch(sources: Path) -> None:
    """Fetches the lists of the repositories in one sources file alone. Raises DeployError where they cannot be had.

    Lists that are there already, and may have been checked with another key, do not count any more.
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
    """By sources file, the package lists that were fetched for it."""
    return listed_in(apt.ask(_LISTED))


def listed_in(output: str) -> Mapping[str, Sequence[str]]:
    """The package lists by sources file, out of the output of ``apt-get indextargets``."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        entry, _, file = line.partition("|")
        found.setdefault(entry.rpartition(":")[0], []).append(file)
    return found


def require_sources() -> None:
    """Raises DeployError where apt cannot make sense of all its sources together, such as of one repository that is
    named twice with different keys."""
    apt.require(_LISTED)


def keyring_of(sources: str) -> str:
    """The path of a repository's keyring, by its sources file."""
    name = sources.removeprefix(f"{SOURCES}/").removesuffix(".sources")
    return f"{_KEYRINGS}/{name}.asc"
