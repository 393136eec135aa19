"""The file ``events.jsonl``: a line for each event, the newest last, bounded. Diffs are kept here and nowhere else."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from agent.domain import codec
from agent.domain.event import Event
from agent.system.files import read_bounded, write_atomic

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of the file, about ten thousand events. When it is larger, the older half is removed."""

DIFF_LIMIT = 16 * 1024
"""Characters of one diff: enough to see what a hand edit did."""


class Events:
    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, events: Iterable[Event]) -> None:
        """Append ``events``. The file is not synced: an event that is lost with the power does no harm. Raises
        OSError."""
        lines = [_line(event) for event in events]
        if not lines:
            return
        with open(self._path, "a", encoding="utf-8", opener=_private) as file:
            # A newline first: behind a line that a crash cut off, the next line would be lost too.
            file.write("\n" + "".join(lines))
        if self._path.stat().st_size > SIZE_LIMIT:
            with open(self._path, "rb") as file:
                file.seek(-SIZE_LIMIT // 2, os.SEEK_END)
                kept = file.read(SIZE_LIMIT)
            write_atomic(self._path, kept[kept.find(b"\n") + 1 :])

    def last(self, count: int) -> list[Event]:
        """The newest ``count`` events, oldest first; lines that cannot be read are skipped."""
        try:
            data = read_bounded(self._path, SIZE_LIMIT * 2)
        except FileNotFoundError:
            return []
        found = filter(None, map(_parse, reversed(data.splitlines())))
        return [*islice(found, count)][::-1]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _line(event: Event) -> str:
    if event.diff is not None and len(event.diff) > DIFF_LIMIT:
        event = dataclasses.replace(event, diff=event.diff[:DIFF_LIMIT] + "\n… (cut)\n")
    return json.dumps(codec.to_plain(event, defaults=False)) + "\n"


def _parse(line: bytes) -> Event | None:
    try:
        return codec.decode(line, Event)
    except ValueError:
        return None
