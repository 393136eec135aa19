"""A reader of commands' output in place of pyinfra's, which dies at the first byte that is not UTF-8, and holds all
that comes, as often as three times.

Of an operation only the end is ever told, and one may print without end. What a fact asks for is read whole.
"""

from __future__ import annotations

from collections import deque
from queue import Queue
from typing import BinaryIO

from pyinfra.connectors.util import OutputLine

HELD = 256 * 1024
"""Bytes of each stream of one command: more than is told of a whole operation."""

_CHUNK = 64 * 1024


class Reading:
    """``ends_only``: whether of the command that begins next the end of what it writes is enough."""

    ends_only = False


def read_buffer(name: str, io: BinaryIO, output_queue: Queue[OutputLine], **_printing: object) -> None:
    """A command's output line by line. All of it is read: a command that nobody listens to waits for ever."""
    for line in _last_lines(io) if Reading.ends_only else io:
        output_queue.put(OutputLine(name, line.decode(errors="replace").rstrip("\n")))


def _last_lines(io: BinaryIO) -> list[bytes]:
    held: deque[bytes] = deque()
    size = 0
    while chunk := io.read(_CHUNK):
        held.append(chunk)
        size += len(chunk)
        while size - len(held[0]) >= HELD:
            size -= len(held.popleft())
    return b"".join(held).splitlines(keepends=True)
