"""The signature of a folder: a text that changes when anything in the folder does, made from the status of each file.

No file is read. As in Git's index, a file that was written a moment ago could be written again without a new status
(git-racy), so the signature of a folder with such a file is not settled.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

RACY_NS: Final = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system (FAT: 2 s)."""


def signature_of(folder: Path, *, settled: bool = False) -> str | None:
    """The signature of ``folder``; None if it is missing or something in it cannot be looked at. With ``settled`` also
    None while anything in it is so new that another change might not show."""
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
    """The path and status of ``folder`` itself and of all in it, in order. No link is followed."""
    yield name, os.lstat(folder)
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{name}/{entry.name}")
        else:
            yield f"{name}/{entry.name}", entry.stat(follow_symlinks=False)
