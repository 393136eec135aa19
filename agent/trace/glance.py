"""The questions of a trace, asked again and again: most of them by one lstat of each path.

Each change to a path changes its ctime, and so the result of lstat. The daemon keeps the result that lstat had when all
answers about a path were the old ones. While it stays the same, the daemon does not ask the questions about the path.
It asks all other questions each time.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from agent.trace.answers import differing, is_young, lstat_fields, unescaped
from agent.trace.rest import lines_of, opened

_SIGHT = struct.Struct("=qqQQIIIQ")
_pack = _SIGHT.pack
_ABSENT = b"-"


class Glance:
    """The repeated look at the questions in the file of a rest."""

    def __init__(self) -> None:
        self._file: tuple[int, ...] = ()
        """The identity of the file at the last look."""
        self._seen: dict[bytes, bytes] = {}
        """By path, its ``_sight`` when all answers were the old ones; empty while there is no reliable one."""
        self._others: list[bytes] = []
        """The lines that are not about paths."""

    def differing(self, rest: Path, most: int) -> list[tuple[bytes, bytes]]:
        """Return the changes that ``answers.differing`` yields for the trace in the file, at most ``most``. Raises
        OSError; ValueError or LookupError for a file that is no trace."""
        with opened(rest) as file:
            self._begin(file)
            at_ns = time.time_ns()
            stirred = {path: now for path, before in self._seen.items() if (now := _sight(path)) != before or not now}
            about: Iterator[bytes] = (line for line in lines_of(file) if _path_of(line) in stirred)
            changes = list(islice(differing(chain(self._others, about if stirred else ())), most))
        if not changes:
            self._seen |= {path: now for path, now in stirred.items() if not _is_young(now, at_ns)}
        return changes

    def _begin(self, file: BinaryIO) -> None:
        """Forget all sights if the file is not that of the last look."""
        found = os.fstat(file.fileno())
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)
        if identity == self._file:
            return
        self._file, self._seen, self._others = (), {}, []
        for line in lines_of(file):
            if (path := _path_of(line)) is None:
                self._others.append(line)
            else:
                self._seen[path] = b""
        self._file = identity


def _path_of(line: bytes) -> bytes | None:
    """The path that a line asks about; None where it asks about something else."""
    kind, subject, _ = line.split(b"\t")
    return unescaped(subject) if kind in (b"path", b"folder") else None


def _sight(path: bytes) -> bytes:
    """The result of lstat for a path, with the target of a link; empty where an error makes it unreliable."""
    try:
        found = os.lstat(path)
        sight = _pack(*lstat_fields(found))
        return sight + os.readlink(path) if stat.S_ISLNK(found.st_mode) else sight  # noqa: PTH115 - it takes no bytes
    except FileNotFoundError:
        return _ABSENT
    except (OSError, struct.error):  # also for a time after the year 2262
        return b""


def _is_young(sight: bytes, at_ns: int) -> bool:
    return len(sight) >= _SIGHT.size and is_young(_SIGHT.unpack_from(sight)[0], at_ns)
