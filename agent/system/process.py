"""The run of another program: no shell, limits for time, memory and output, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

OUTPUT_LIMIT = 1024 * 1024
"""Bytes of each stream that are kept, the last ones."""

LAST_WORDS_S = 1.0
"""Seconds to read what a killed program wrote; a process that left its group may hold its output open for ever."""

LOOK_S, GRACE_S = 1.0, 10.0
"""Seconds between two looks if a program is to be stopped, and seconds that it then has to clean up."""

_CHUNK = 65536
_LENDING = threading.Lock()


_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|TZ|(?i:https?|ftp|all|no)_(?i:proxy)|SSL_CERT_(FILE|DIR)|SSL_CLIENT_CERT"
)
"""The variables that name the user, and the way from this machine to others. Any other may change what Python, git,
ssh, a shell, apt, dpkg and its scripts do (``PYTHON*``, ``UV_*``, ``PIP_*``, ``LD_*``, ``GIT_*``, ``BASH_ENV``,
``APT_CONFIG``, …)."""


def passed_on(given: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``given`` that programs of a deploy may see: a list of allowed ones, not of forbidden ones."""
    return {name: value for name, value in given.items() if _PASSED_ON.fullmatch(name)}


class Completed(NamedTuple):
    """A program that has ended. ``code``: the exit status, negative for a signal. ``timed_out``: it was killed with its
    group. ``cut``: it wrote more to stdout than was kept."""

    code: int
    output: bytes
    error: bytes
    timed_out: bool = False
    cut: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out

    @property
    def complaint(self) -> str:
        """The last line that the program wrote to stderr, else to stdout; else its exit status."""
        for stream in (self.error, self.output):
            lines = [line for line in stream.decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
        return f"exit status {self.code}"


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output_limit: int = OUTPUT_LIMIT,
    memory_limit: int | None = None,
    file_limit: int | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Completed:
    """Run ``argv`` in a process group of its own, with ``input`` or nothing on stdin. Raises OSError if it cannot
    start.

    ``env``: the whole environment; None: PATH and a C.UTF-8 locale. ``output_limit``: the last bytes of stdout that are
    kept; never more than twice as many are held. ``memory_limit``: bytes of data that the program, and each program
    that it starts, may hold. ``file_limit``: bytes of each file that they write; a signal kills the program that writes
    more. ``stopped``: called every second; when it returns True, the time is over. A program run with ``stopped`` gets
    SIGTERM and GRACE_S seconds before it is killed.
    """
    environment = dict(env) if env is not None else {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    limits = {resource.RLIMIT_DATA: memory_limit, resource.RLIMIT_FSIZE: file_limit}
    with _lending({kind: limit for kind, limit in limits.items() if limit is not None}):
        started = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    with started as process:
        output, error = Tail(output_limit), Tail(OUTPUT_LIMIT)
        conversation = _Conversation(process, input or b"", output, error)
        timed_out = False
        try:
            conversation.carry_on(timeout_s, stopped)
        except subprocess.TimeoutExpired:
            timed_out = True
            if stopped is not None:
                _end_group(process, conversation)
            _kill_group(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                conversation.carry_on(LAST_WORDS_S)
        except BaseException:
            _kill_group(process)
            raise
        finally:
            conversation.close()
    return Completed(process.returncode, output.kept, error.kept, timed_out, output.cut)


class Tail:
    """The last ``limit`` bytes of a stream. ``cut``: True once bytes were dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self.cut = False

    def add(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) > 2 * self._limit:
            del self._held[: -self._limit or None]
            self.cut = True

    @property
    def kept(self) -> bytes:
        self.cut = self.cut or len(self._held) > self._limit
        return bytes(self._held[-self._limit :])


class _Conversation:
    """The writing to a program and reading from it at the same time: either of them alone could wait for ever.

    ``Popen.communicate`` does that too, but keeps all output in memory.
    """

    def __init__(self, process: subprocess.Popen[bytes], input: bytes, output: Tail, error: Tail) -> None:
        self._process = process
        self._left = memoryview(input)
        self._selector = selectors.DefaultSelector()
        for stream, tail in ((process.stdout, output), (process.stderr, error)):
            assert stream is not None
            self._selector.register(stream, selectors.EVENT_READ, tail)
        if process.stdin is not None:
            self._selector.register(process.stdin, selectors.EVENT_WRITE)

    def carry_on(self, timeout_s: float, stopped: Callable[[], bool] | None = None) -> None:
        """Write and read until the program has ended and no process has its output open. Raises TimeoutExpired after
        ``timeout_s`` seconds, or when ``stopped`` returns True."""
        deadline = time.monotonic() + timeout_s
        while self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0 or (stopped is not None and stopped()):
                raise subprocess.TimeoutExpired(self._process.args, timeout_s)
            for key, _ in self._selector.select(left if stopped is None else min(left, LOOK_S)):
                if not (self._write(key.fd) if key.data is None else self._read(key.fd, key.data)):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]  # these are the streams
        self._process.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        self._selector.close()

    def _write(self, descriptor: int) -> bool:
        """Write a piece of the input, so small that the write never waits (pipe(7)). Return True if there is more."""
        with contextlib.suppress(BrokenPipeError):
            self._left = self._left[os.write(descriptor, self._left[: select.PIPE_BUF]) :]
            return len(self._left) > 0
        return False

    def _read(self, descriptor: int, tail: Tail) -> bool:
        chunk = os.read(descriptor, _CHUNK)
        tail.add(chunk)
        return bool(chunk)


@contextlib.contextmanager
def _lending(limits: Mapping[int, int]) -> Iterator[None]:
    """Set limits of this process, which a program that is started inside inherits, and reset them afterwards. Limits
    that are set for a running program come too late for the programs that it has started by then. This process itself
    stays far below the limits."""
    with _LENDING if limits else contextlib.nullcontext(), contextlib.ExitStack() as lent:
        for kind, limit in limits.items():
            soft, hard = resource.getrlimit(kind)
            lower = limit if soft == resource.RLIM_INFINITY else min(limit, soft)
            resource.setrlimit(kind, (lower, hard))
            lent.callback(resource.setrlimit, kind, (soft, hard))
        yield


def _end_group(process: subprocess.Popen[bytes], conversation: _Conversation) -> None:
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        conversation.carry_on(GRACE_S)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
