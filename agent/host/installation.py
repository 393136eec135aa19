"""The installation of the agent on a host: its links, units and folders.

Every function can be called twice: it leaves alone what is right already. The environment itself
(/opt/hostwright/versions/<version>) is made by environment.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from agent.errors import Consequence, SettingsError
from agent.host.paths import Paths
from agent.system.files import discard, fsync_folder, make_private_folder, temporary_name, write_atomic
from agent.system.process import run
from agent.system.systemd import CYCLE_UNIT, DAEMON_UNIT, RESCUE_UNIT, REVERT_TIMER, REVERT_UNIT, WEBHOOK_UNIT

REVERT_UNITS = (REVERT_TIMER, REVERT_UNIT)
"""The units that switch back from a version on trial. That version does not replace them before it is kept."""

UNITS = (*REVERT_UNITS, WEBHOOK_UNIT, DAEMON_UNIT, CYCLE_UNIT, RESCUE_UNIT)
"""All units, in the order in which they are stopped: the daemon, which starts cycles, before the cycle."""

RESCUE_SCRIPT = "rescue.sh"
RESCUE_PROGRAMS = (RESCUE_SCRIPT, "environment.py")
"""The programs that the units of rescue and revert run. They need no environment."""

SYSTEMCTL_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 16 * 60.0
"""The time for a cycle to finish its present operation: a little more than TimeoutStopSec of its unit."""

_COMMAND_TARGET = Path("/opt/hostwright/current/bin/hostwright")


def units_folder(paths: Paths) -> Path:
    return paths.root / "etc/systemd/system"


def command(paths: Paths) -> Path:
    """The path of the command ``hostwright``."""
    return paths.root / "usr/local/bin/hostwright"


def bootstrap_log(paths: Paths) -> Path:
    """The log of bootstrap.sh and of what it calls."""
    return paths.root / "var/log/hostwright-bootstrap.log"


def require_free_command(paths: Paths) -> None:
    """Raise SettingsError if anything but our link is at the path of the command."""
    target = command(paths)
    if os.path.lexists(target) and not (target.is_symlink() and target.readlink() == _COMMAND_TARGET):
        raise SettingsError(f"{target} exists and is not ours", hint="move it away, then run this again")


def link(paths: Paths, version: str) -> bool:
    """Make ``version`` the current one and put the command on everybody's PATH. Return True if that changed anything.

    Raises OSError, and SettingsError if anything but our link is at the path of the command.
    """
    require_free_command(paths)
    current = point(paths.current, Path(paths.versions.name) / version)
    return point(command(paths), _COMMAND_TARGET) or current


def write_units(paths: Paths, names: Sequence[str] = UNITS) -> bool:
    """Write unit files, without telling systemd. Return True if any changed. Raises OSError."""
    changed = [_write(units_folder(paths) / name, f"units/{name}") for name in names]
    return any(changed)


def write_rescue(paths: Paths) -> bool:
    """Write the programs of rescue and revert. Return True if any changed. Raises OSError."""
    make_private_folder(paths.rescue)
    changed = [_write(paths.rescue / name, name) for name in RESCUE_PROGRAMS]
    return any(changed)


def _write(target: Path, source: str) -> bool:
    content = (files("agent.host") / source).read_bytes()
    if target.is_file() and not target.is_symlink() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, content, mode=0o644)
    return True


def systemctl(*arguments: str, timeout_s: float = SYSTEMCTL_TIMEOUT_S) -> None:
    """Call systemctl. Raises SettingsError with its error text if it refuses, or does not answer in time."""
    completed = run(["systemctl", "--quiet", *arguments], timeout_s=timeout_s)
    if not completed.ok:
        what = "did not answer in time" if completed.timed_out else completed.complaint
        raise SettingsError(
            f"systemctl {' '.join(arguments)}: {what}",
            hint=f"look at `systemctl status {DAEMON_UNIT}` and `journalctl -u {DAEMON_UNIT}`",
            consequence=Consequence.RETRY,
        )


def enable() -> bool:
    """Let systemd read the units anew, and start the daemon at each boot. Return True if the daemon was not started at
    boot before. Raises SettingsError."""
    before = run(["systemctl", "--quiet", "is-enabled", DAEMON_UNIT], timeout_s=SYSTEMCTL_TIMEOUT_S)
    systemctl("enable", DAEMON_UNIT)  # which ends with a daemon-reload
    return not before.ok


def stop_units(paths: Paths) -> list[str]:
    """Stop and disable all units; a cycle ends its operation first. Return a line for each failure."""
    complaints: list[str] = []
    for name in UNITS:
        if os.path.lexists(units_folder(paths) / name):
            for verb in ("stop", "disable"):
                try:
                    systemctl(verb, name, timeout_s=STOP_TIMEOUT_S)
                except SettingsError as error:
                    complaints.append(error.message)
    return complaints


def forget_units() -> list[str]:
    """Tell systemd that the unit files are gone. Return a line for a failure."""
    try:
        systemctl("daemon-reload")
    except SettingsError as error:
        return [error.message]
    run(["systemctl", "reset-failed", *UNITS], timeout_s=SYSTEMCTL_TIMEOUT_S)  # fails where there is nothing to reset
    return []


def remove(paths: Paths, *, keep: bool, keep_ledger: bool = False) -> list[str]:
    """Remove everything of ours from the host. Return a line for each path that could not be removed.

    ``keep``: settings, memory and tools stay. ``keep_ledger``: the ledger stays. The environment goes last: it holds
    the running code, so an interrupted removal can be run again.
    """
    units = [units_folder(paths) / name for name in UNITS]
    drop_ins = [unit.with_name(f"{unit.name}.d") for unit in units]
    memory = [] if keep else [paths.etc, *(_but(paths.var, paths.ledger) if keep_ledger else [paths.var])]
    ours = [*units, *drop_ins, paths.run, *memory, bootstrap_log(paths)]
    target = command(paths)
    if target.is_symlink() and target.readlink() == _COMMAND_TARGET:
        ours.append(target)
    tools = paths.opt / "tools"
    environment = _but(paths.opt, tools) if keep and tools.is_dir() else [paths.opt]
    left = []
    for path in (*ours, *environment):
        try:
            discard(path)
        except OSError as error:
            left.append(f"{path} ({error.strerror or error})")
    return left


def _but(folder: Path, kept: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path != kept] if folder.is_dir() else []


def point(path: Path, target: Path) -> bool:
    """Make ``path`` a link to ``target`` in one step. Return True if it was not one before. Raises OSError."""
    if path.is_symlink() and path.readlink() == target:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = temporary_name(path)
    new.symlink_to(target)
    new.replace(path)
    fsync_folder(path.parent)
    return True
