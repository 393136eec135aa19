"""The host's side of services: unit files, and systemctl carrying out steps."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from agent.deploys import systemctl
from agent.deploys.services.startable import require_startable
from agent.deploys.units import Step, undone
from agent.errors import DeployError
from agent.system.files import fsync_folder, read_bounded, write_atomic

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


def carry_out(name: str, steps: Sequence[Step], content: str | None) -> str:
    """Does ``steps`` to the unit ``name`` (its own name), in order, and looks whether they have come to be. Returns
    what it has to tell, mostly nothing. Raises DeployError with the unit's last words; what was done stays."""
    told = require_startable(name, content or "") if Step.WRITE in steps else ""
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
        elif step is Step.MASK:
            _mask(name)
        elif step in (Step.UNMASK, Step.DISABLE):
            _take_back(name, step)
        elif step is Step.ENABLE:
            systemctl.systemctl(name, step.value, _linked_from(name) or name)
        else:
            systemctl.systemctl(name, step.value, name)
    asked = _ASKED_AGAIN.intersection(steps)
    found = systemctl.query([name])[name] if asked else None
    if found is not None and (step_undone := undone(found, asked)) is not None:
        state = found.file_state or found.load
        hint = "give it an [Install] section, or leave `enabled` out" if step_undone is Step.ENABLE else ""
        raise DeployError(f"{name}: {step_undone}: systemctl ended well, and the unit is {state}", hint=hint)
    return told


_ASKED_AGAIN = frozenset({Step.UNMASK, Step.ENABLE, Step.DISABLE, Step.STOP, Step.MASK})


def _mask(name: str) -> None:
    """Also a unit whose file lies where the mask goes: systemctl would refuse it, after it was stopped."""
    path = UNIT_FOLDER / name
    if path.is_symlink() or not path.is_file():
        systemctl.systemctl(name, Step.MASK.value, name)
        return
    aside = path.with_name(f".{name}.hostwright")
    aside.unlink(missing_ok=True)
    aside.symlink_to("/dev/null")
    aside.replace(path)
    fsync_folder(UNIT_FOLDER)
    systemctl.systemctl(name, "daemon-reload")


def _take_back(name: str, step: Step) -> None:
    """Unmasks or disables; what holds until the next boot only, systemctl leaves unless it is told so."""
    systemctl.systemctl(name, step.value, name)
    if undone(systemctl.query([name])[name], [step]) is not None:
        systemctl.systemctl(name, step.value, name, runtime=True)


def _linked_from(name: str) -> str:
    """Where the file of a linked unit lies, by which alone it can be enabled; empty for another."""
    path = UNIT_FOLDER / name
    target = f"{path.resolve()}" if path.is_symlink() else ""
    return target if Path(target).name == name and not target.startswith(_LOOKED_THROUGH) else ""


_LOOKED_THROUGH = ("/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/")
