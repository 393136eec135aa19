"""The engine child as a process: lines in, lines out, a time limit, and nothing left of it when it goes wrong."""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from agent.engine.forked import Forked, Process
from agent.system.process import passed_on

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line: a plan of a hundred thousand changes with diffs is below that."""

STDERR_KEPT = 8 * 1024
"""Bytes of what the child wrote to stderr that are kept: the last ones."""

_EXIT_CHECK_S = 0.5
"""A process that the child left behind may hold its pipes open, so its end is looked for, too."""

_CHUNK = 64 * 1024
_ENDING_S = 5.0
"""How long a child whose pipes are closed may take to end by itself."""


class ChildEndedError(Exception):
    """The child ended, for the reason given, without sending another line."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class TimedOutError(Exception):
    """No line in time."""


class Child:
    """A process in a session of its own. As a context: killed with all its group, if it is still there at the end after
    an exception; given time to end after all went well."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._stderr = self._process.stderr.fileno()
        for descriptor in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(descriptor, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._received = bytearray()
        self._last_words = bytearray()

    @classmethod
    def forked(cls, run: Callable[[], int], keep: tuple[int, ...] = ()) -> Self:
        """This process once more, which does ``run`` and ends with the status that it returns. ``keep``: descriptors
        that stay open in it."""
        return cls(Forked(run, environment(os.environ), keep))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if kind is None:
            self._process.await_end(_ENDING_S)
        if kind is not None or self._process.poll() is None:
            self.kill()
        self.close()

    def close(self) -> None:
        """Lets go of its pipes."""
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            pipe.close()

    def terminate(self) -> None:
        """Asks it to finish what it does and to end. Safe in a signal handler."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and everything that it started in its session's process group, now."""
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no session yet, or has ended
                self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def send(self, line: bytes, deadline: float) -> None:
        """Raises ChildEndedError, or TimedOutError at ``deadline`` (monotonic clock)."""
        rest = memoryview(line)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        try:
            while rest:
                if self._stdin in self._wait(deadline):
                    rest = rest[os.write(self._stdin, rest) :]
        except BrokenPipeError:
            raise self._ended() from None
        finally:
            self._selector.unregister(self._stdin)

    def receive(self, deadline: float) -> bytes:
        """The next line. Raises ChildEndedError, TimedOutError at ``deadline``, OverflowError for a line too long."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > LINE_LIMIT:
                raise OverflowError(f"a line of more than {LINE_LIMIT} bytes")
            silent = self._stdout not in self._wait(deadline)
            if silent and self._process.poll() is not None and not self._read_stdout():
                raise self._ended()
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        return line

    def forget_words(self) -> None:
        """What it wrote to stderr by now says nothing of how it may end later."""
        self._read_all_words()
        self._last_words.clear()

    def _wait(self, deadline: float) -> set[int]:
        """Moves what there is to read; returns the descriptors that were ready."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOutError
        ready = {int(key.fd) for key, _ in self._selector.select(min(left, _EXIT_CHECK_S))}
        if self._stderr in ready:
            self._read_stderr()
        if self._stdout in ready and not self._read_stdout():
            raise self._ended()
        return ready

    def _read_stdout(self) -> bool:
        """False when nothing came."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._stdout, _CHUNK)
            self._received += data
            return bool(data)
        return False

    def _read_stderr(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._stderr, _CHUNK)
            if not data:
                self._selector.unregister(self._stderr)
            self._last_words = (self._last_words + data)[-STDERR_KEPT:]
            return bool(data)
        return False

    def _read_all_words(self) -> None:
        """Bounded: whoever still writes there must not keep us here."""
        for _ in range(STDERR_KEPT):
            if self._stderr not in self._selector.get_map() or not self._read_stderr():
                return

    def _ended(self) -> ChildEndedError:
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return ChildEndedError(-signal.SIGKILL, "the engine closed its pipe and did not end")
        if code != 0:
            # What it had started may still be writing to the host.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._read_all_words()
        said = [line.strip() for line in self._last_words.decode(errors="replace").splitlines() if line.strip()]
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return ChildEndedError(code, f"the engine {how}" + (": " + " / ".join(said[-3:]) if said else ""))


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine child. The locale decides what commands print that facts parse. Whoever this is has
    a home and a name, as with sudo."""
    told = {"PATH": os.defpath}
    with contextlib.suppress(KeyError):  # a user that no file names
        own = pwd.getpwuid(os.geteuid())
        told |= {"HOME": own.pw_dir, "USER": own.pw_name, "LOGNAME": own.pw_name}
    return {**told, **passed_on(inherited), "LC_ALL": "C.UTF-8"}
