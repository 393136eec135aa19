"""A process that has loaded the modules of engine children, and forks for each: plan, apply and confirm share one load.

It is a process of its own because deploy code may read all memory that it inherits. This process gets no orders: they
go into the pipe of each child. It loads no deploy code, so that children share none.

    parent                                          preloaded
    a child: its folder, whether it needs pyinfra   →
             (with its pipes, and the lock)         ←     its number
                                                    ←     its status, when it has ended
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO

from agent.engine.child import Child, Pipes, environment
from agent.engine.forked import LOST, SIGNALS, await_end, fork_into

_MOST_DESCRIPTORS = 16
_LINE = 4096
_LAST_WORDS = 8 * 1024
_ENDING_S = 1.0
"""Seconds that it may take to end by itself: an idle one takes a few milliseconds."""


class Preloaded:
    """The parent's end of the preloaded process. The process starts with the first child, starts again where it has
    ended, and ends with this object. It has one child at a time."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._connection: socket.socket | None = None

    def child(self, folder: str | None = None, *, pyinfra: bool, timeout_s: float, keep: tuple[int, ...] = ()) -> Child:
        """A child that waits for its orders. ``folder``: the only folder that a confined child may write to; None for a
        child that does not confine itself. ``pyinfra``: True where its orders will have deploy files. ``timeout_s``:
        the most seconds to load that. ``keep``: descriptors of this process that the child holds open, under other
        numbers. Raises OSError."""
        if self._connection is not None and self._process.poll() is not None:
            self._end()
            self._connection = None
        connection = self._connection or self._start()
        order = json.dumps({"folder": folder, "pyinfra": pyinfra}).encode()
        return _Fork(self, connection, lambda pipes: self._begin(order, [*pipes, *keep], timeout_s))

    def _start(self) -> socket.socket:
        connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe would fill up: nobody reads it
            self._process = subprocess.Popen(
                [self._python, "-I", "-m", "agent.engine"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                env=environment(os.environ),
                cwd="/",
                start_new_session=True,
            )
        self._connection = connection
        self._end = weakref.finalize(self, _end, self._process, connection, self._words)
        return connection

    def _begin(self, order: bytes, descriptors: list[int], timeout_s: float) -> int:
        """The pid of a child that has these descriptors. Raises OSError."""
        connection = self._connection
        assert connection is not None
        try:
            connection.settimeout(timeout_s)
            answer = b""
            with suppress(ConnectionError):  # it has ended
                socket.send_fds(connection, [order], descriptors)
                answer = connection.recv(_LINE)
            connection.setblocking(False)
            pid, error = json.loads(answer or b"[0, 0]")
            if not pid:
                raise OSError(os.strerror(error) if error else self._last_words())
        except BaseException:
            self._connection = None  # its next message could be about this child or another
            self._end()
            raise
        return int(pid)

    def killed_by(self) -> int:
        """The signal that ended the process, negative; 0 where none did. Waits up to ``_ENDING_S`` seconds for its
        end."""
        await_end(self._process.pid, _ENDING_S)
        return min(self._process.poll() or 0, 0)

    def _last_words(self) -> str:
        """The reason why the process ended: the signal, or the last line of its stderr."""
        if code := self.killed_by():
            return f"it was killed by {signal.Signals(-code).name}"
        self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - _LAST_WORDS))
        told = self._words.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(told) if line.strip()), "it ended and said nothing")


def _end(process: subprocess.Popen[bytes], connection: socket.socket, words: IO[bytes]) -> None:
    """End the process. An idle one ends by itself when its connection is closed, after it has waited for its last
    child: otherwise a zombie would stay for ever where process 1 waits for none."""
    connection.close()
    await_end(process.pid, _ENDING_S)
    process.kill()
    process.wait()
    words.close()


class _Fork(Child):
    """A fork of the preloaded process, which sends its status. The system does not reuse its pid before the next child
    is asked for."""

    def __init__(self, preloaded: Preloaded, connection: socket.socket, begin: Callable[[Pipes], int]) -> None:
        self._preloaded = preloaded  # a reference, so that it does not end first
        self._connection = connection
        super().__init__(begin)

    def _status(self) -> int | None:
        try:
            told = self._connection.recv(_LINE)
        except BlockingIOError:
            return None
        except OSError:
            told = b""
        if told:
            return int(told)
        with suppress(ProcessLookupError):  # nobody would send its status any more
            os.killpg(self.pid, signal.SIGKILL)
        return self._preloaded.killed_by() or LOST

    def await_end(self, timeout_s: float | None) -> None:
        select.select([self._connection], [], [], timeout_s)


def serve() -> int:
    """Run as the preloaded process, and return its exit status. It ends when its parent does, and not before: where all
    processes of a login are asked to end, a child still finishes its current operation."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        ended = 0
        while True:
            order, descriptors, _, _ = socket.recv_fds(connection, _LINE, _MOST_DESCRIPTORS)
            if ended:
                os.waitpid(ended, 0)
                ended = 0
            if not order:
                return 0
            pid, error = _begin(order, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(OSError):  # its parent has ended
                connection.send(json.dumps([pid, error]).encode())
            if pid:
                how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its pid is not reused yet
                assert how is not None
                status = how.si_status if how.si_code == os.CLD_EXITED else -how.si_status
                ended = pid
                with suppress(OSError):
                    connection.send(f"{status}".encode())


def _begin(order: bytes, descriptors: list[int]) -> tuple[int, int]:
    """The pid of a new child and 0, or 0 and the errno."""
    from agent.engine import runner

    told = json.loads(order)
    if told["pyinfra"]:
        with suppress(Exception):  # the child gets the same error, and sends it
            runner.load()
    reads, writes, errs, *keep = descriptors
    try:
        run = partial(runner.main, told["folder"])
        return fork_into(run, (reads, writes, errs), dict(os.environ), keep), 0
    except OSError as error:
        return 0, error.errno or 0
