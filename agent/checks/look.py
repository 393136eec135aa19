"""Checks of what is on the host itself: programs, units, files, processes. Each returns why it is not well."""

from __future__ import annotations

import stat
import time
from pathlib import Path

from agent.checks.spec import Command, File, Process, Unit
from agent.deploys.as_user import User
from agent.deploys.command.program import run_as
from agent.system import host, systemd

LOOKED_AT = 1024 * 1024
"""Bytes of a file or of an answer."""


def command(spec: Command) -> str:
    ended = run_as(
        User.named(spec.user), [str(word) for word in spec.command], cwd="/", env={}, timeout_s=float(spec.timeout)
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


def unit(spec: Unit) -> str:
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


def file(spec: File) -> str:
    path = Path(spec.file)
    status = path.stat()
    age = int(time.time() - status.st_mtime)
    if spec.max_age is not None and age > spec.max_age:
        return f"last written {age} s ago, wanted {spec.max_age} s at most"
    if spec.contains is None:
        return ""
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file that could hold anything"
    with path.open("rb") as opened:
        return "" if spec.contains.encode() in opened.read(LOOKED_AT) else f"it does not hold {spec.contains!r}"


def process(spec: Process) -> str:
    count = host.processes(spec.process, spec.user)
    of = f" of {spec.user}" if spec.user is not None else ""
    if count < spec.min:
        return f"{count} running{of}, wanted {spec.min} at least"
    if spec.max is not None and count > spec.max:
        return f"{count} running{of}, wanted {spec.max} at most"
    return ""
