"""The reader of commands' output. pyinfra's own fails at the first byte that is not UTF-8, and holds all output up to
three times.

Only the end of an operation's output is ever shown, and it may be endless, so only its end is held. The answer to a
fact is held whole.
"""

from __future__ import annotations

import io
import os
import selectors
import signal
import subprocess
import sys
from queue import Queue
from typing import BinaryIO

from pyinfra.connectors.util import CommandOutput, OutputLine

from agent.system.process import Tail

HELD = 256 * 1024
"""The last bytes of each stream of a command that are held: more than is shown of a whole operation."""

_CHUNK = 64 * 1024
_SILENT = (signal.SIGINT, signal.SIGPIPE)
"""Signals about which a shell prints nothing."""


class Reading:
    """The state of reading. ``ends_only``: True where the end of the output of the next command is enough."""

    ends_only = False


def read_buffer(name: str, stream: BinaryIO, output_queue: Queue[OutputLine], **_printing: object) -> None:
    """Put a command's output into the queue, line by line. All of it is read, since a command waits for ever where
    nobody reads."""
    held = Tail(HELD if Reading.ends_only else sys.maxsize)
    while chunk := stream.read(_CHUNK):
        held.add(chunk)
    for line in _lines(held):
        output_queue.put(OutputLine(name, line))


def run(command: str) -> tuple[int, CommandOutput]:
    """Run a command by a shell. Return its exit status and its output: stdout, then stderr.

    pyinfra's own way forks this process, and lets a second shell wait for the first. That one prints the signal that
    ended the first, and so does this function. Raises OSError, ValueError.
    """
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdin is not None
        process.stdin.close()
        streams = {"stdout": process.stdout, "stderr": process.stderr}
        held = {name: Tail(HELD if Reading.ends_only else sys.maxsize) for name in streams}
        for name, stream in streams.items():
            selector.register(stream, selectors.EVENT_READ, held[name])  # type: ignore[arg-type]
        while selector.get_map():
            for key, _ in selector.select():
                if chunk := os.read(key.fd, _CHUNK):
                    key.data.add(chunk)
                else:
                    selector.unregister(key.fileobj)
    lines = [OutputLine(name, line) for name in held for line in _lines(held[name])]
    if process.returncode >= 0:
        return process.returncode, CommandOutput(lines)
    ended_by = -process.returncode
    if ended_by not in _SILENT:
        lines.append(OutputLine("stderr", signal.strsignal(ended_by) or ""))
    return 128 + ended_by, CommandOutput(lines)


def _lines(output: Tail) -> list[str]:
    # Split at line feeds alone, as when a stream is read line by line.
    return [line.rstrip("\n") for line in io.StringIO(output.kept.decode(errors="replace"), newline="\n")]
