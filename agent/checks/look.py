"""The checks of the host itself: programs, units, files, processes. Each returns why it fails, else ``""``."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.system import systemd

if TYPE_CHECKING:
    from agent.checks.spec import CommandCheck, FileCheck, ProcessCheck, UnitCheck

LOOKED_AT = 1024 * 1024
"""Bytes of a file, or of an answer, in which a text is looked for."""


def command(spec: CommandCheck) -> str:
    from agent.deploys.as_user import LocalUser, run_as

    ended = run_as(
        LocalUser.named(spec.user), [str(word) for word in spec.command], cwd="/", env={}, timeout_s=float(spec.timeout)
    )
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    if ended.timed_out:
        return f"no answer within {spec.timeout} s{last}"
    if ended.code != spec.exit:
        return f"exit status {ended.code}, wanted {spec.exit}{last}"
    if spec.contains is not None and spec.contains not in ended.output:
        return f"it does not say {spec.contains!r}{last}"
    return ""


def unit(spec: UnitCheck) -> str:
    found = systemd.state_of(spec.unit, timeout_s=float(spec.timeout))
    if found is None:
        return "systemd does not answer"
    if found.load != "loaded":
        return f"there is no such unit ({found.load})"
    if found.active != "active":
        return f"it is {found.active} ({found.sub}), wanted active"
    if found.active_s < spec.since:
        return f"active for {found.active_s} s only, wanted {spec.since} s"
    if spec.enabled is not None and found.enabled is not spec.enabled:
        return f"it is {'' if found.enabled else 'not '}enabled at boot"
    return ""


def file(spec: FileCheck) -> str:
    path = Path(spec.file)
    status = path.stat()
    age = int(time.time() - status.st_mtime)
    if spec.max_age is not None and age > spec.max_age:
        return f"last written {age} s ago, wanted {spec.max_age} s at most"
    if spec.contains is None:
        return ""
    return "" if spec.contains.encode() in beginning(path) else f"it does not hold {spec.contains!r}"


def beginning(path: Path | str) -> bytes:
    """The first ``LOOKED_AT`` bytes of a regular file; links are followed. Raises OSError, also for a FIFO, a device or
    a folder, without waiting on it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file that could hold anything")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LOOKED_AT)
    finally:
        os.close(descriptor)


def process(spec: ProcessCheck) -> str:
    from agent.system import host  # with psutil

    count = host.processes(spec.process, spec.user)
    of = f" of {spec.user}" if spec.user is not None else ""
    if count < spec.min:
        return f"{count} running{of}, wanted {spec.min} at least"
    if spec.max is not None and count > spec.max:
        return f"{count} running{of}, wanted {spec.max} at most"
    return ""
