"""The host's side of services: when files changed, unit files, and systemctl carrying out steps."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from agent.deploys.services.units import Clock, Step
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.system.files import read_bounded, write_atomic
from agent.system.process import run

UNIT_FOLDER = Path("/etc/systemd/system")
UNIT_MODE = 0o644

JOB_TIMEOUT_S = 300.0
"""systemd itself gives a unit 90 s to start unless it says otherwise."""

QUERY_TIMEOUT_S = 20.0
JOURNAL_LINES = 20


def now() -> Clock:
    return Clock(
        wall_us=time.time_ns() // 1000,
        monotonic_us=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
        boottime_us=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
    )


def changed_us(paths: Iterable[str]) -> int:
    """The newest ctime of ``paths`` and all below them, in microseconds; 0 when there is nothing.

    Where a path is a link, both it and what it leads to count; folders behind links are not entered.
    """
    return max((_ctime_us(found) for path in paths for found in _below(path)), default=0)


def _below(path: str) -> Iterator[str]:
    yield path
    for folder, folders, files in os.walk(path):
        yield from (f"{folder}/{name}" for name in (*folders, *files))


def _ctime_us(path: str) -> int:
    newest = 0
    for look in (os.lstat, os.stat):
        with contextlib.suppress(OSError):  # gone, or a link that leads nowhere: nothing to be newer than
            newest = max(newest, look(path).st_ctime_ns // 1000)
    return newest


def unit_file(name: str) -> tuple[str | None, bool]:
    """The text of our unit file, None where there is none that could be read, and whether mode and owner are right."""
    path = UNIT_FOLDER / name
    try:
        text = read_bounded(path).decode()
        status = path.lstat()
    except (OSError, UnicodeDecodeError):
        return None, False
    return text, stat.S_IMODE(status.st_mode) == UNIT_MODE and status.st_uid == status.st_gid == 0


def reloaded_us(name: str, clock: Clock) -> int:
    """When we last had the unit reloaded; 0 when not since boot. systemd forgets it with every daemon-reload."""
    try:
        stamped = _stamp(name).stat().st_mtime_ns // 1000
    except OSError:
        return 0
    return stamped if stamped <= clock.wall_us else 0


def carry_out(name: str, steps: Sequence[Step], content: str | None) -> None:
    """Does ``steps`` to the unit, in order. Raises DeployError with the unit's last words; what was done stays."""
    for step in steps:
        if step is Step.WRITE:
            write_atomic(UNIT_FOLDER / name, (content or "").encode(), mode=UNIT_MODE)
        elif step is Step.REREAD:
            _systemctl(name, "daemon-reload")
        elif step is Step.ENABLE and Step.WRITE in steps:
            # The [Install] section may have changed: links that it no longer asks for must go.
            _systemctl(name, "reenable", name)
        else:
            begun_ns = time.time_ns()
            if step in (Step.START, Step.RESTART):
                _forgive(name)
            _systemctl(name, "reload-or-restart" if step is Step.RELOAD else step.value, name)
            if step is Step.RELOAD:
                _remember_reload(name, begun_ns)


def _systemctl(name: str, verb: str, *names: str) -> None:
    begun = time.time()
    done = run(["systemctl", "--no-ask-password", verb, "--", *names], timeout_s=JOB_TIMEOUT_S)
    if done.ok:
        return
    lines = done.error.decode(errors="replace").splitlines()
    said = lines[0] if lines else done.complaint
    reason = f"not done after {JOB_TIMEOUT_S:.0f} s" if done.timed_out else said
    raise DeployError("\n".join([f"{name}: {verb}: {reason}", *_last_words(name, int(begun))]))


def _forgive(name: str) -> None:
    """A unit that failed too often is started all the same: it may be the cause that has just been mended."""
    run(["systemctl", "reset-failed", "--", name], timeout_s=QUERY_TIMEOUT_S)


def _last_words(name: str, since_s: int) -> list[str]:
    """What the journal has of the unit since then, at most ``JOURNAL_LINES``."""
    argv = ["journalctl", f"--unit={name}", f"--since=@{since_s}", f"--lines={JOURNAL_LINES}", "--no-pager", "--quiet"]
    with contextlib.suppress(OSError):
        return run([*argv, "--output=cat"], timeout_s=QUERY_TIMEOUT_S).output.decode(errors="replace").splitlines()
    return []


def _remember_reload(name: str, at_ns: int) -> None:
    stamp = _stamp(name)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(stamp, b"")
    os.utime(stamp, ns=(at_ns, at_ns))


def _stamp(name: str) -> Path:
    """In /run, which ends with the boot as the unit does."""
    return Paths().run / "reloaded" / name
