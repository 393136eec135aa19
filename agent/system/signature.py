"""The signature of a folder: what changes with anything in it, by the status of each file and without reading one.

As Git's index believes a file: what was written a moment before it was looked at could be written again without its
status telling (git-racy), so of that there is no signature.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

RACY_NS: Final = 2_000_000_000
"""No file system that we may lie on counts time more coarsely (FAT: 2 s)."""


def signature_of(folder: Path, *, settled: bool = False) -> str | None:
    """The signature; None where there is no such folder, or something cannot be looked at. ``settled``: None as well
    while anything in it is so new that another change might not tell."""
    digest, newest = hashlib.sha256(), 0
    try:
        for path, status in _walk(f"{folder}", ""):
            newest = max(newest, status.st_ctime_ns, status.st_mtime_ns)
            told = (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            digest.update(f"{path}\0{told}{times}\n".encode(errors="surrogateescape"))
    except OSError:
        return None
    return None if settled and newest > time.time_ns() - RACY_NS else digest.hexdigest()


def _walk(folder: str, name: str) -> Iterator[tuple[str, os.stat_result]]:
    """``folder`` itself and all in it, in order. No link is followed."""
    yield name, os.lstat(folder)
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{name}/{entry.name}")
        else:
            yield f"{name}/{entry.name}", entry.stat(follow_symlinks=False)
