"""Asks the questions of a trace one time after another, most of them by one lstat of each path.

Each change to a path changes its ctime, and so what lstat returns. As long as lstat returns what it returned when the
questions about a path had their old answers, the daemon asks none of them. It asks all other questions each time.
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
    """Looks at the questions in the file of a rest."""

    def __init__(self) -> None:
        self._file: tuple[int, ...] = ()
        """The identity of the file that was looked at last."""
        self._seen: dict[bytes, bytes] = {}
        """By path, its ``_sight`` when all answers were the old ones; empty while there is none to rely on."""
        self._others: list[bytes] = []
        """The lines that are about other things than paths."""

    def differing(self, rest: Path, most: int) -> list[tuple[bytes, bytes]]:
        """Return what ``answers.differing`` yields for the trace in the file, at most so many. Raises OSError, and
        ValueError or LookupError for what is no trace."""
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
        """Forget what was seen where the file is another one."""
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
    """The path that a line asks about; None where that is something else."""
    kind, subject, _ = line.split(b"\t")
    return unescaped(subject) if kind in (b"path", b"folder") else None


def _sight(path: bytes) -> bytes:
    """What lstat says of a path, and where it leads if it is a link; empty where that cannot be relied on."""
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
