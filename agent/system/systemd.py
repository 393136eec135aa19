"""systemd, by its bus, its command and its notify socket (sd_notify(3)). Standard library only: the daemon uses it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from agent.errors import Consequence, SettingsError
from agent.problems import ProblemKind
from agent.system import dbus
from agent.system.process import Completed, run

CYCLE_UNIT = "hostwright-cycle.service"
DAEMON_UNIT = "hostwright.service"
RESCUE_UNIT = "hostwright-rescue.service"
WEBHOOK_UNIT = "hostwright-webhook.service"
REVERT_UNIT = "hostwright-revert.service"
REVERT_TIMER = "hostwright-revert.timer"
OWN_UNITS = frozenset({CYCLE_UNIT, DAEMON_UNIT, RESCUE_UNIT, REVERT_UNIT, REVERT_TIMER, WEBHOOK_UNIT})

QUERY_TIMEOUT_S = 20.0

BUS_TIMEOUT_S = 2.0
"""Seconds for the whole talk with the bus. After that the agent asks `systemctl`, which needs no bus."""

UNTOLD = "?"
"""The one name in the place of those of the failed units if systemd does not answer."""


def booted() -> bool:
    """True if systemd is this machine's init (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def failed_units() -> tuple[str, ...]:
    """The names of the failed units, sorted, without those of hostwright; empty if there is no systemd; UNTOLD alone if
    it does not answer."""
    names = all_failed_units(QUERY_TIMEOUT_S) if booted() else []
    return (UNTOLD,) if names is None else tuple(name for name in names if name not in OWN_UNITS)


def all_failed_units(timeout_s: float) -> list[str] | None:
    """The names of all failed units, sorted, asked by the bus, else by `systemctl`; None if neither answers."""
    names = dbus.failed_units(min(timeout_s, BUS_TIMEOUT_S))
    if names is None:
        listed = _systemctl("list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", timeout_s=timeout_s)
        if not listed.ok:
            return None
        names = [line.split()[0] for line in listed.output.splitlines() if line.strip()]
    return sorted(name.decode(errors="replace") for name in names)


class UnitState(NamedTuple):
    """The state of a unit: systemd's words ``load``, ``active`` and ``sub``; ``active_s``: seconds since it became
    active; ``enabled``: True if it starts at boot."""

    load: str
    active: str
    sub: str
    active_s: int
    enabled: bool


def state_of(unit: str, *, timeout_s: float) -> UnitState | None:
    """The state of a unit; None if there is no systemd, or it does not answer in time."""
    names = ("LoadState", "ActiveState", "SubState", "ActiveEnterTimestampMonotonic", "UnitFileState")
    asked = ("show", f"--property={','.join(names)}", "--", unit)
    done = _systemctl(*asked, timeout_s=timeout_s) if booted() else None
    if done is None or not done.ok:
        return None
    said = dict(line.partition("=")[::2] for line in done.output.decode(errors="replace").splitlines())
    load, active, sub, since, enabled = (said.get(name, "") for name in names)
    # Both clocks count from boot, and stand still while the host sleeps.
    active_s = int(time.monotonic()) - int(since or 0) // 1_000_000
    return UnitState(load, active, sub, active_s, enabled in ("enabled", "enabled-runtime", "static", "alias"))


def is_active(unit: str) -> bool:
    """True if a unit runs; False also if there is no systemd, or no such unit."""
    return booted() and _systemctl("is-active", "--quiet", "--", unit).ok


def start(unit: str) -> None:
    """Ask systemd to start a unit, and do not wait for it; ``state_of`` tells the outcome."""
    _systemctl("--no-block", "start", "--", unit)


def reboot() -> None:
    """Ask systemd to reboot the machine, and do not wait for it. Raises SettingsError if it refuses or is absent."""
    completed = _systemctl("--no-block", "reboot") if booted() else None
    if completed is None or not completed.ok:
        why = completed.complaint if completed is not None else "there is no systemd"
        raise SettingsError(
            f"the host cannot be rebooted: {why}",
            kind=ProblemKind.REBOOT_FAILED,
            hint="reboot it by hand; `systemd-inhibit --list` says who may be in the way",
            consequence=Consequence.RETRY,
        )


def exit_status(unit: str) -> int | None:
    """The exit status of the last run of a oneshot unit; None if systemd does not tell it."""
    completed = _systemctl("show", "--property=ExecMainStatus", "--value", unit)
    told = completed.output.decode(errors="replace").strip()
    return int(told) if completed.ok and told.isdigit() else None


def notify(state: str) -> None:
    """Tell the service manager ``state`` (``READY=1``, ``WATCHDOG=1``, ``STATUS=…``), if it has named a socket for
    that. Raises OSError."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect(address)
        connection.sendall(state.encode())


def watchdog_interval_s() -> float | None:
    """Seconds between two messages to the watchdog: half of WatchdogSec (sd_watchdog_enabled(3)); None if it is off."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000


def _systemctl(*arguments: str, timeout_s: float = QUERY_TIMEOUT_S) -> Completed:
    return run(["systemctl", *arguments], timeout_s=timeout_s)
