"""The host's side of services: unit files, and systemctl carrying out steps."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from agent.deploys import systemctl
from agent.deploys.units import Step
from agent.system.files import read_bounded, write_atomic

UNIT_FOLDER = Path("/etc/systemd/system")
UNIT_MODE = 0o644


def unit_file(name: str) -> tuple[str | None, bool]:
    """The text of our unit file, None where there is none that could be read, and whether mode and owner are right."""
    path = UNIT_FOLDER / name
    try:
        text = read_bounded(path).decode()
        status = path.lstat()
    except (OSError, UnicodeDecodeError):
        return None, False
    return text, stat.S_IMODE(status.st_mode) == UNIT_MODE and status.st_uid == status.st_gid == 0


def carry_out(name: str, steps: Sequence[Step], content: str | None) -> None:
    """Does ``steps`` to the unit, in order. Raises DeployError with the unit's last words; what was done stays."""
    for step in steps:
        if step is Step.WRITE:
            write_atomic(UNIT_FOLDER / name, (content or "").encode(), mode=UNIT_MODE)
        elif step is Step.REREAD:
            systemctl.systemctl(name, "daemon-reload")
        elif step is Step.ENABLE and Step.WRITE in steps:
            # The [Install] section may have changed: links that it no longer asks for must go.
            systemctl.systemctl(name, "reenable", name)
        elif step in (Step.START, Step.RESTART):
            systemctl.start(name, step.value)
        elif step is Step.RELOAD:
            systemctl.reload(name)
        else:
            systemctl.systemctl(name, step.value, name)
