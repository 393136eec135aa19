"""Believed folders. A folder is compared with what it should hold once, and again only if anything in it was touched.

The signature that a folder had when it was compared stands in a file beside it. Only root can write to the two.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.system.files import read_bounded, write_unsynced
from agent.system.misplaced import misplaced_file, misplaced_folder

SEEN = ".seen"
"""The end of the name of the file with the signature of a folder."""
RACY_NS: Final = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system (FAT: 2 s)."""


def is_believed(folder: Path) -> bool:
    """True if ``folder`` was not touched since it was compared; False if it never was, or nobody can tell."""
    try:
        if misplaced_folder(folder) or misplaced_file(_seen(folder)):
            return False
        return read_bounded(_seen(folder), 100).decode() == _signature_of(folder)
    except (OSError, ValueError):
        return False


def is_intact(folder: Path, compare: Callable[[], bool]) -> bool:
    """True if ``folder`` holds what it should: if it is believed, or ``compare``, which reads it, returns True.

    A folder that ``compare`` found right is believed from then on, if it had not changed for two seconds, and its
    signature can be written down."""
    if is_believed(folder):
        return True
    settled = _signature_of(folder, settled=True)  # before the folder is read, so that it covers no later change
    if not compare():
        return False
    if settled is not None:
        with suppress(OSError):  # without room for the signature, the folder is compared again next time
            write_unsynced(_seen(folder), settled.encode())
    return True


def _seen(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{SEEN}")


def _signature_of(folder: Path, *, settled: bool = False) -> str | None:
    """The signature of ``folder``: a text that changes when anything in the folder does, made from the status of each
    file. No file is read. None if the folder is missing or something in it cannot be looked at. With ``settled`` also
    None while anything in it is so new that another change might not show: as in Git's index, a file that was written
    a moment ago could be written again without a new status (git-racy)."""
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
