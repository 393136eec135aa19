"""Running another program: no shell, a time limit, and nothing left behind when the limit is reached."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_LIMIT = 1024 * 1024
"""Bytes of each stream that are kept (the last ones)."""


@dataclass(frozen=True, slots=True)
class Completed:
    """``code`` is the exit status; negative for a signal. ``timed_out`` programs were killed with their group."""

    code: int
    output: bytes
    error: bytes
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out

    @property
    def complaint(self) -> str:
        """The last line that it wrote to stderr, or to stdout, as one line of text."""
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
) -> Completed:
    """Runs ``argv`` in a process group of its own, stdin from ``input`` or empty. Raises OSError when it cannot start.

    ``env`` replaces the environment; without it only PATH and a C.UTF-8 locale are passed on. Of stdout the last
    ``output_limit`` bytes are kept.
    """
    environment = dict(env) if env is not None else {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            output, error = process.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            output, error = process.communicate()
            return Completed(process.returncode, output[-output_limit:], error[-OUTPUT_LIMIT:], timed_out=True)
        except BaseException:
            _kill_group(process)
            raise
    return Completed(process.returncode, output[-output_limit:], error[-OUTPUT_LIMIT:])


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
