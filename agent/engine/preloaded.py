"""A process that has loaded what engine children need, and forks for each: plan, apply and confirm load it once.

It is a process of its own because deploy code may look into all memory that it inherits. This one was given nothing:
the orders of a child go into the pipe of that child. It has loaded no deploy code, so that children share none.

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
"""How long it may take to end by itself: an idle one takes a few milliseconds."""


class Preloaded:
    """The parent's end. The process starts with the first child, anew where it has ended, and ends with this object. It
    has one child at a time."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._connection: socket.socket | None = None

    def child(self, folder: str | None = None, *, pyinfra: bool, timeout_s: float, keep: tuple[int, ...] = ()) -> Child:
        """A child that waits for its orders. ``folder``: of the child of a plan, which confines itself; it may write
        there alone. ``pyinfra``: it will be given deploy files. ``timeout_s``: how long it may take to load that.
        ``keep``: descriptors of this process that it holds open, by other numbers. Raises OSError."""
        if self._connection is not None and self._process.poll() is not None:
            self._end()
            self._connection = None
        connection = self._connection or self._start()
        order = json.dumps({"folder": folder, "pyinfra": pyinfra}).encode()
        return _Fork(self, connection, lambda pipes: self._begin(order, [*pipes, *keep], timeout_s))

    def _start(self) -> socket.socket:
        connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe would fill: nobody reads meanwhile
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
        """The number of a child that has these descriptors."""
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
            self._connection = None  # what it would say next, nobody knows
            self._end()
            raise
        return int(pid)

    def killed_by(self) -> int:
        """The signal that ended it, negative; 0 where none did. Waits a short while for its end."""
        await_end(self._process.pid, _ENDING_S)
        return min(self._process.poll() or 0, 0)

    def _last_words(self) -> str:
        """The reason why it ended."""
        if code := self.killed_by():
            return f"it was killed by {signal.Signals(-code).name}"
        self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - _LAST_WORDS))
        told = self._words.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(told) if line.strip()), "it ended and said nothing")


def _end(process: subprocess.Popen[bytes], connection: socket.socket, words: IO[bytes]) -> None:
    """An idle one ends when its connection does, and leaves no child that nobody has waited for: where process 1 does
    not do that, one would stay for ever."""
    connection.close()
    await_end(process.pid, _ENDING_S)
    process.kill()
    process.wait()
    words.close()


class _Fork(Child):
    """A fork of the preloaded process, which says how it ended. Until another child is asked for nobody else has its
    number."""

    def __init__(self, preloaded: Preloaded, connection: socket.socket, begin: Callable[[Pipes], int]) -> None:
        self._preloaded = preloaded  # it is not to end first
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
        with suppress(ProcessLookupError):  # nobody would tell of its end any more
            os.killpg(self.pid, signal.SIGKILL)
        return self._preloaded.killed_by() or LOST

    def await_end(self, timeout_s: float | None) -> None:
        select.select([self._connection], [], [], timeout_s)


def serve() -> int:
    """The preloaded process. Ends when its parent does, and not before: where all processes of a login are asked to
    end, a child finishes the operation that it is in."""
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
                how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its number stays its own
                assert how is not None
                status = how.si_status if how.si_code == os.CLD_EXITED else -how.si_status
                ended = pid
                with suppress(OSError):
                    connection.send(f"{status}".encode())


def _begin(order: bytes, descriptors: list[int]) -> tuple[int, int]:
    """The number of a child, or the number of an error."""
    from agent.engine import runner

    told = json.loads(order)
    if told["pyinfra"]:
        with suppress(Exception):  # the child meets it again, and says so
            runner.load()
    reads, writes, errs, *keep = descriptors
    try:
        run = partial(runner.main, told["folder"])
        return fork_into(run, (reads, writes, errs), dict(os.environ), keep), 0
    except OSError as error:
        return 0, error.errno or 0
