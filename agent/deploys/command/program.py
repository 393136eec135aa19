"""Running somebody's program as a user, within a time limit, for its output and the way in which it ended.

Unlike ``system.process.run`` this does not wait until the output is closed: a program may leave a daemon behind that
holds it open for ever.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.deploys.as_user import LocalUser

GRACE_S = 5
"""Seconds between SIGTERM and SIGKILL."""

OUTPUT_LIMIT = 64 * 1024
"""The most bytes of output that are kept: the last ones, where the reason stands. A pipe holds no more at once, so that
one read after the program's end gets the rest."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` is the exit status, negative for a signal; ``output`` the end of what the program wrote to stdout and
    stderr."""

    code: int
    output: str
    timed_out: bool


def run_as(user: LocalUser, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_s: float) -> Ended:
    """Run a program as ``user``. When its time is over, it is killed with all that it started. Raises OSError if it
    cannot be started."""
    known = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": user.home, "USER": user.name, "LOGNAME": user.name}
    other = os.geteuid() != user.uid
    # In a session of its own: no terminal that it could ask, and a group that can be killed.
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**known, **env},
        cwd=cwd,
        start_new_session=True,
        user=user.uid if other else None,
        group=user.gid if other else None,
        extra_groups=os.getgrouplist(user.name, user.gid) if other else None,
        umask=0o022,
    ) as process:
        try:
            return _watched(process, time.monotonic() + timeout_s)
        except BaseException:
            _end(process)
            raise


def _watched(process: subprocess.Popen[bytes], deadline: float) -> Ended:
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    kept = b""
    timed_out = closed = False
    while not (ended := process.poll() is not None) or not closed:
        if not ended and time.monotonic() >= deadline:
            timed_out = True
            _end(process)
        elif closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_S)
        else:
            readable, _, _ = select.select([pipe], [], [], 0 if ended else _TICK_S)
            chunk = os.read(pipe, OUTPUT_LIMIT) if readable else b""
            kept = (kept + chunk)[-OUTPUT_LIMIT:]
            closed = ended or bool(readable and not chunk)
    return Ended(process.returncode, kept.decode(errors="replace"), timed_out)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program's process group to end, and kill what is left of it after GRACE_S."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
