"""The run of git, with limits and an environment of its own. (``git_objects`` reads objects by GitPython.)

Each run is a process group of its own with limits for its time, memory, output and files. GitPython's own time limit
finds git's children with pgrep or ps, which a bare host does not have, and waits for ever for an ssh that survives git
and keeps its pipe open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system.git_environment import Access, local_environment, network_environment
from agent.system.process import OUTPUT_LIMIT, Completed, run
from agent.system.remote import Remote

LOCAL_TIMEOUT_S: Final = 120.0
"""The time limit for a repository on the disk; on a busy disk a walk through a long history may take seconds."""
MEMORY_MOST: Final = 512 * 1024 * 1024
"""Bytes of memory that a program of a conversation may hold. A server that listed branches without end had git take
1.8 GB in 8 seconds. A repository with half a million branches, or with files of 100 MB, needs less than this limit."""
_LEFTOVERS: Final = ("pack/tmp_*", "pack/.tmp-*", "[0-9a-f][0-9a-f]/tmp_obj_*", "tmp_obj_*")
"""The temporary packs and objects of a fetch, below ``objects``."""


def git(
    *arguments: str,
    repository: Path | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = LOCAL_TIMEOUT_S,
    input: bytes | None = None,
    cwd: Path = Path("/"),
    output_limit: int = OUTPUT_LIMIT,
    memory_limit: int | None = None,
    file_limit: int | None = None,
) -> Completed:
    """One run of git, in the environment of ``local_environment`` and ``variables``. ``repository`` is a bare one, or
    the ``.git`` of a clone. The limits are those of ``process.run``. Raises SourceError, kind ``git-missing``."""
    named = [f"--git-dir={repository}"] if repository is not None else []
    try:
        return run(
            ["git", *named, *arguments],
            timeout_s=timeout_s,
            input=input,
            env={**local_environment(), **(variables or {})},
            cwd=cwd,
            output_limit=output_limit,
            memory_limit=memory_limit,
            file_limit=file_limit,
        )
    except FileNotFoundError as error:
        raise git_missing() from error


def converse(
    remote: Remote,
    access: Access,
    *arguments: str,
    repository: Path | None = None,
    timeout_s: float | None = None,
    output_limit: int = OUTPUT_LIMIT,
    file_limit: int | None = None,
    often: bool = False,
) -> Completed:
    """One run of git that talks to ``remote``. ``timeout_s``: None takes that of ``access``. ``often``: as for
    ``network_environment``. Raises like ``git``, and SettingsError for a key that others may have seen."""
    return git(
        *arguments,
        repository=repository,
        variables=network_environment(access, remote, often=often),
        timeout_s=access.timeout_s if timeout_s is None else timeout_s,
        output_limit=output_limit,
        memory_limit=min(MEMORY_MOST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2),
        file_limit=file_limit,
    )


def bounded_fetch(
    repository: Path, remote: Remote, access: Access, *arguments: str, most: int, timeout_s: float | None = None
) -> Completed:
    """One ``git fetch`` with these arguments into the bare ``repository``. Raises SourceError, kind ``too-large`` for
    more than ``most`` bytes, kind ``disk-full`` for more than half of the free bytes of the disk; then nothing of the
    fetch stays."""
    limit = min(most, room(repository))
    done = converse(remote, access, *arguments, repository=repository, timeout_s=timeout_s, file_limit=limit)
    if not done.ok and drop_leftovers(repository) >= limit:
        raise too_large(remote, most) if limit == most else _no_room(remote, limit)
    return done


def too_large(remote: Remote, limit: int) -> SourceError:
    return SourceError(
        f"{remote} sends more than {limit // 1024**2} MiB at once, which this host does not take",
        kind=ProblemKind.TOO_LARGE,
        hint="who pushed that? take it off the branch; large files do not belong into a config repo",
        consequence=Consequence.STALL,
    )


def _no_room(remote: Remote, limit: int) -> SourceError:
    return SourceError(
        f"{remote} sends more than {limit // 1024} KiB at once, and a fetch takes half of what is free here at most",
        kind=ProblemKind.DISK_FULL,
        hint="make room below /var/lib/hostwright",
    )


def drop_leftovers(repository: Path) -> int:
    """Remove the temporary files that a fetch left when it was cut off. Return the bytes of the largest one. The caller
    must be the only one who writes there."""
    largest = 0
    for pattern in _LEFTOVERS:
        for left in (repository / "objects").glob(pattern):
            largest = max(largest, left.lstat().st_size)
            left.unlink(missing_ok=True)
    return largest


def room(folder: Path) -> int:
    """The bytes that a fetch may write below ``folder``: half of the free ones."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize // 2


def git_missing() -> SourceError:
    return SourceError("git cannot be started", kind=ProblemKind.GIT_MISSING, hint="install the package `git`")
