"""A question to a remote: git runs beside the daemon, which does not wait for the answer."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

MEMORY_MOST = 96 * 1024 * 1024
"""The most bytes of data that git may hold: a list of half a million branches. A server may send an endless one. The
command for health checks needs half of that, and the daemon's unit has memory for the daemon and both."""

ANSWER_MOST = 1024 * 1024
"""The most bytes of an answer that can be compared; a longer one is never the same."""


_REPORTS = (b"refs/heads/status", b"refs/heads/status-")
"""The branch that hosts report to, and the prefix of such branches with a number: they change all the time."""


def offered(answer: bytes) -> str:
    """Return the lines of git's ``answer`` about a remote's refs, without the branches that hosts report to, with a
    character for each byte; empty where the answer is longer than ANSWER_MOST."""
    if len(answer) > ANSWER_MOST:
        return ""
    whole, shards = _REPORTS
    split = ((line, line.partition(b"\t")[2]) for line in answer.splitlines())
    return b"\n".join(line for line, ref in split if ref != whole and not ref.startswith(shards)).decode("latin-1")


class Asked:
    """One run of a program whose output is the answer. Raises OSError where it cannot be started, ValueError where
    its arguments or environment are not valid."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> None:
        self._until = time.monotonic() + timeout_s
        self._output = os.memfd_create("answer")
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError):
            os.close(self._output)
            raise
        with contextlib.suppress(OSError):  # the unit's own limits count, too
            resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (MEMORY_MOST, MEMORY_MOST))
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (ANSWER_MOST, ANSWER_MOST))

    @property
    def left_s(self) -> float:
        """Seconds until the program is ended without an answer."""
        return max(0.0, self._until - time.monotonic())

    def answer(self) -> bytes | None:
        """The answer; None while the program runs, empty where it failed or took too long. The end of the program is
        noticed here, so call it until it returns an answer, and never after that."""
        code = self._process.poll()
        if code is None and self.left_s > 0:
            return None
        said = os.pread(self._output, ANSWER_MOST, 0) if code == 0 else b""
        self.end()
        return said

    def end(self) -> None:
        """End the program and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._output)
