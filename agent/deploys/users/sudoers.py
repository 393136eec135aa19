"""The drop-in of sudoers(5) that the agent writes for an account."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from agent.deploys.telling import reason
from agent.errors import DeployError
from agent.system.files import read_bounded, write_atomic
from agent.system.process import run

FOLDER = Path("/etc/sudoers.d")
_MODE = 0o440
_TIMEOUT_S = 60.0


def look(name: str) -> tuple[str | None, bool]:
    """The text of the account's drop-in (None: there is none, empty: it cannot be read), and True where its mode and
    owner are right."""
    path = drop_in(name)
    try:
        text = read_bounded(path).decode(errors="replace")
        status = path.lstat()
    except FileNotFoundError:
        return None, True
    except OSError:
        return "", False
    return text, stat.S_IMODE(status.st_mode) == _MODE and status.st_uid == status.st_gid == 0


def is_there(name: str) -> bool:
    return look(name)[0] is not None


def write(name: str, text: str) -> str:
    """Write the account's drop-in, after visudo has checked it: a wrong file there switches sudo off for everybody.
    Returns a remark where there is no visudo, else an empty text. Raises DeployError where sudo is not on this host or
    would not understand the text."""
    if not FOLDER.is_dir():
        hint = "install it in a deploy before this one (`packages: {present: [sudo]}`)"
        raise DeployError(f"{name}: sudo is not on this host", hint=hint)
    visudo = shutil.which("visudo", path="/usr/local/sbin:/usr/sbin:/sbin")
    if visudo is not None:
        checked = run([visudo, "-c", "-f", "-"], timeout_s=_TIMEOUT_S, input=text.encode())
        if not checked.ok:
            raise DeployError(f"{name}: sudo does not understand its rule: {reason(checked)}", hint="see sudoers(5)")
    write_atomic(drop_in(name), text.encode(), mode=_MODE)
    return "" if visudo is not None else f"{name}: its rule was not checked, there is no visudo on this host"


def remove(name: str) -> None:
    """Remove the account's drop-in; and the folder of drop-ins, where sudo has gone and the folder is empty then."""
    drop_in(name).unlink(missing_ok=True)
    gone = not (FOLDER.parent / "sudoers").exists() and FOLDER.is_dir()
    if gone and not any(FOLDER.iterdir()):
        FOLDER.rmdir()


def drop_in(name: str) -> Path:
    return FOLDER / f"hostwright-{name}"
