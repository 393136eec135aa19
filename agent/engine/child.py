"""The engine child as a process: lines in, lines out, a time limit, and a complete end after a failure."""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from agent.system.process import passed_on

Pipes = tuple[int, int, int]
"""The descriptors of a child for its input, its output and its errors."""

LINE_LIMIT = 64 * 1024 * 1024
"""The most bytes of one line: a plan of a hundred thousand changes with diffs is shorter."""

STDERR_KEPT = 8 * 1024
"""The number of last bytes of the child's stderr that are kept."""

_EXIT_CHECK_S = 0.5
"""Seconds between checks for the child's end: a process that it left behind may hold its pipes open."""

_CHUNK = 64 * 1024
_ENDING_S = 5.0
"""Seconds that a child may take to end by itself once its pipes are closed."""


class ChildEndedError(Exception):
    """The child ended, for the reason given, without sending another line."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class TimedOutError(Exception):
    """No line, or no end, in time."""


class Child(ABC):
    """A process in a session of its own. As a context: after an exception its whole group is killed; otherwise it first
    gets ``_ENDING_S`` seconds to end by itself."""

    def __init__(self, begin: Callable[[Pipes], int]) -> None:
        """Start the process. ``begin`` gets the child's ends of the pipes, starts it and returns its pid. Then these
        ends are closed here."""
        with ExitStack() as theirs, ExitStack() as ours:
            theirs_in, ours_in = _pipe(theirs, ours)
            ours_out, theirs_out = _pipe(ours, theirs)
            ours_err, theirs_err = _pipe(ours, theirs)
            self.pid = begin((theirs_in, theirs_out, theirs_err))
            ours.pop_all()
        for descriptor in (ours_in, ours_out, ours_err):
            os.set_blocking(descriptor, False)
        self.stdin = os.fdopen(ours_in, "wb", buffering=0)
        self.stdout = os.fdopen(ours_out, "rb", buffering=0)
        self.stderr = os.fdopen(ours_err, "rb", buffering=0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.stdout, selectors.EVENT_READ)
        self._selector.register(self.stderr, selectors.EVENT_READ)
        self._received = bytearray()
        self._last_words = bytearray()
        self._code: int | None = None

    @abstractmethod
    def _status(self) -> int | None:
        """Ask for the status: negative where a signal ended it, None while it runs. Not called again after a status."""

    @abstractmethod
    def await_end(self, timeout_s: float | None) -> None:
        """Wait until it has ended, for at most ``timeout_s`` seconds (None: without end). This may return earlier;
        ``poll`` says whether it has ended."""

    def poll(self) -> int | None:
        """The status, kept once there is one: negative where a signal ended it, None while it runs."""
        if self._code is None:
            self._code = self._status()
        return self._code

    def wait(self, timeout_s: float | None = None) -> int:
        """The status, once it has ended. Raises TimedOutError after ``timeout_s`` seconds (None: never)."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            remaining_s = None if until is None else until - time.monotonic()
            if remaining_s is not None and remaining_s <= 0:
                raise TimedOutError
            self.await_end(remaining_s)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the process. Safe in a signal handler: it does not ask for the status, which a ``poll`` that
        it interrupts may be about to keep."""
        if self._code is None:
            os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.stdin.close()
        if kind is None and self._code is None:
            self.await_end(_ENDING_S)
        if kind is not None or self.poll() is None:
            self.kill()
        self.close()

    def close(self) -> None:
        """Close its pipes."""
        self._selector.close()
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def terminate(self) -> None:
        """Ask it to finish the current operation and to end. Safe in a signal handler."""
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all processes of its group, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no session yet, or has ended
                self.send_signal(signal.SIGKILL)
        self.wait()

    def send(self, line: bytes, deadline: float) -> None:
        """Send one line. Raises ChildEndedError, or TimedOutError at ``deadline`` (monotonic clock)."""
        unsent = memoryview(line)
        self._selector.register(self.stdin, selectors.EVENT_WRITE)
        try:
            while unsent:
                if self.stdin in self._wait(deadline):
                    unsent = unsent[self.stdin.write(unsent) or 0 :]
        except BrokenPipeError:
            raise self._ended() from None
        finally:
            self._selector.unregister(self.stdin)

    def receive(self, deadline: float) -> bytes:
        """The next line. Raises ChildEndedError, TimedOutError at ``deadline`` (monotonic clock), OverflowError for a
        line of more than LINE_LIMIT bytes."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > LINE_LIMIT:
                raise OverflowError(f"a line of more than {LINE_LIMIT} bytes")
            silent = self.stdout not in self._wait(deadline)
            if silent and self.poll() is not None and not self._read_stdout():
                raise self._ended()
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        return line

    def forget_words(self) -> None:
        """Forget its stderr so far: it is no reason for a later end."""
        self._read_all_words()
        self._last_words.clear()

    def _wait(self, deadline: float) -> set[object]:
        """Wait a moment and read from stderr and stdout; return the pipes that were ready. Raises ChildEndedError,
        TimedOutError."""
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimedOutError
        ready: set[object] = {key.fileobj for key, _ in self._selector.select(min(remaining_s, _EXIT_CHECK_S))}
        if self.stderr in ready:
            self._read_stderr()
        if self.stdout in ready and not self._read_stdout():
            raise self._ended()
        return ready

    def _read_stdout(self) -> bool:
        """Read from stdout. False where there is nothing to read."""
        data = self.stdout.read(_CHUNK) or b""
        self._received += data
        return bool(data)

    def _read_stderr(self) -> bool:
        data = self.stderr.read(_CHUNK)  # None where there is nothing now
        if data == b"":
            self._selector.unregister(self.stderr)
        self._last_words = (self._last_words + (data or b""))[-STDERR_KEPT:]
        return bool(data)

    def _read_all_words(self) -> None:
        """Read all of stderr. The number of reads is bounded: a process that never stops writing must not keep the
        agent here."""
        for _ in range(STDERR_KEPT):
            if self.stderr not in self._selector.get_map() or not self._read_stderr():
                return

    def _ended(self) -> ChildEndedError:
        try:
            code = self.wait(_ENDING_S)
        except TimedOutError:
            self.kill()
            return ChildEndedError(-signal.SIGKILL, "the engine closed its pipe and did not end")
        if code != 0:
            # Processes that it started may still be changing the host.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._read_all_words()
        said = [line.strip() for line in self._last_words.decode(errors="replace").splitlines() if line.strip()]
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return ChildEndedError(code, f"the engine {how}" + (": " + " / ".join(said[-3:]) if said else ""))


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """The two ends of a new pipe; each stack closes its end."""
    ends = os.pipe()
    for stack, end in zip((reading, writing), ends, strict=True):
        stack.callback(os.close, end)
    return ends


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine child. The locale is fixed, because facts parse the output of commands. The user of
    this process has a home and a name in it, as with sudo."""
    told = {"PATH": os.defpath}
    with contextlib.suppress(KeyError):  # a user that no file names
        own = pwd.getpwuid(os.geteuid())
        told |= {"HOME": own.pw_dir, "USER": own.pw_name, "LOGNAME": own.pw_name}
    return {**told, **passed_on(inherited), "LC_ALL": "C.UTF-8"}
