"""systemd, by its command and its notify socket (sd_notify(3)). Standard library only: the daemon uses it."""

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
"""The whole talk with the bus has this long. After that the agent asks systemd's command, which needs no bus."""

UNTOLD = "?"
"""In the place of the failed units: systemd does not say which have failed."""


def booted() -> bool:
    """True if systemd is this machine's init (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def failed_units() -> tuple[str, ...]:
    """The names of failed units but our own, sorted; empty where there is no systemd, UNTOLD alone where it does not
    answer."""
    names = all_failed_units(QUERY_TIMEOUT_S) if booted() else []
    return (UNTOLD,) if names is None else tuple(name for name in names if name not in OWN_UNITS)


def all_failed_units(timeout_s: float) -> list[str] | None:
    """The names of failed units, sorted; None where systemd does not answer, by the bus or else its command."""
    names = dbus.failed_units(min(timeout_s, BUS_TIMEOUT_S))
    if names is None:
        listed = _systemctl("list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", timeout_s=timeout_s)
        if not listed.ok:
            return None
        names = [line.split()[0] for line in listed.output.splitlines() if line.strip()]
    return sorted(name.decode(errors="replace") for name in names)


class UnitState(NamedTuple):
    """A unit as systemd has it: its words, for how many seconds it has been active, whether it starts at boot."""

    load: str
    active: str
    sub: str
    active_s: int
    enabled: bool


def state_of(unit: str, *, timeout_s: float) -> UnitState | None:
    """The state of a unit; None where there is no systemd, or it does not answer in time."""
    names = ("LoadState", "ActiveState", "SubState", "ActiveEnterTimestampMonotonic", "UnitFileState")
    asked = ("show", f"--property={','.join(names)}", "--", unit)
    done = _systemctl(*asked, timeout_s=timeout_s) if booted() else None
    if done is None or not done.ok:
        return None
    said = dict(line.partition("=")[::2] for line in done.output.decode(errors="replace").splitlines())
    load, active, sub, since, enabled = (said.get(name, "") for name in names)
    # systemd counts from boot, by a clock that stands still while the host sleeps, as this one does.
    active_s = int(time.monotonic()) - int(since or 0) // 1_000_000
    return UnitState(load, active, sub, active_s, enabled in ("enabled", "enabled-runtime", "static", "alias"))


def is_active(unit: str) -> bool:
    """True if a unit runs; False where there is no systemd, or no such unit."""
    return booted() and _systemctl("is-active", "--quiet", "--", unit).ok


def start(unit: str) -> None:
    """Asks for it, and does not wait. What becomes of that, ``state_of`` says."""
    _systemctl("--no-block", "start", "--", unit)


def reboot() -> None:
    """Asks systemd to take the machine down and up again, and does not wait. Raises SettingsError when it refuses."""
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
    """The exit code of the last run of a oneshot unit; None when systemd does not tell."""
    completed = _systemctl("show", "--property=ExecMainStatus", "--value", unit)
    told = completed.output.decode(errors="replace").strip()
    return int(told) if completed.ok and told.isdigit() else None


def notify(state: str) -> None:
    """Tells the service manager ``state`` (``READY=1``, ``WATCHDOG=1``, ``STATUS=…``); nothing where nobody asked."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect(address)
        connection.sendall(state.encode())


def watchdog_interval_s() -> float | None:
    """Seconds between two words to the watchdog (half of WatchdogSec, sd_watchdog_enabled(3)); None when it is off."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000


def _systemctl(*arguments: str, timeout_s: float = QUERY_TIMEOUT_S) -> Completed:
    return run(["systemctl", *arguments], timeout_s=timeout_s)
