"""The thing at a unit's place in /etc/systemd/system: a file, a link (an alias, a mask, a linked unit), or nothing; and
whether systemd would ever start a unit with a new file."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agent.deploys.telling import plain_lines
from agent.domain.digest import JSON
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.files import fsync_folder, read_bounded, write_atomic
from agent.system.process import run

UNIT_MODE = 0o644

_VENDOR = ("/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/")
"""Folders of units. A link that leads below one of them is an alias; a link that leads elsewhere is a linked unit."""

_ANALYZE_TIMEOUT_S = 30.0
_FOLDERS = "/usr/bin:/bin"
_REFUSES = "bad unit file setting"
"""The only complaint of ``systemd-analyze verify`` that the file itself is to blame for and that keeps the unit from
starting. systemd passes over what it warns of (a key that only a newer version knows), and what is missing (a program,
a user, another unit) may come with another deploy."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit's file as found. ``state``: of a file its type, mode and sha256, of a link its type and target; None where
    there is nothing. ``content``: None for a link. ``proper``: a file with the mode and owner that the agent gives."""

    state: Mapping[str, JSON] | None = None
    content: bytes | None = None
    proper: bool = False


def unit_file(path: Path) -> UnitFile:
    """The file or link at ``path``. Raises OSError, also for anything else there, such as a folder."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return UnitFile()
    if stat.S_ISLNK(status.st_mode):
        return UnitFile({"type": "link", "target": f"{path.readlink()}"})
    content, mode = read_bounded(path), stat.S_IMODE(status.st_mode)
    proper = mode == UNIT_MODE and status.st_uid == status.st_gid == 0
    digest = hashlib.sha256(content).hexdigest()
    return UnitFile({"type": "file", "mode": mode, "sha256": digest}, content, proper)


def linked_from(path: Path) -> str:
    """The path of a linked unit's file; empty for other units. systemctl enables a linked unit by this path only."""
    target = path.resolve() if path.is_symlink() else Path()
    return f"{target}" if target.name == path.name and not f"{target}".startswith(_VENDOR) else ""


def erase(folder: Path, name: str) -> None:
    """Remove the unit's file and the links by which other units want it, and the folders of these links that are empty
    then."""
    for link in folder.glob(f"*.*/{name}"):
        if link.is_symlink() and link.parent.suffix in (".wants", ".requires", ".upholds"):
            link.unlink()
            if not any(link.parent.iterdir()):
                link.parent.rmdir()
    if unit_file(folder / name).state is not None:
        (folder / name).unlink()
        fsync_folder(folder)


def put_back(path: Path, was: Mapping[str, JSON] | None, image: bytes | None) -> None:
    """Put the unit's file back as it ``was`` (``UnitFile.state``); ``image`` is its content. Raises DeployError where
    the content was not kept."""
    if was is None:
        path.unlink(missing_ok=True)
    elif "target" in was:
        path.unlink(missing_ok=True)
        path.symlink_to(cast("str", was["target"]))
    elif image is None:
        raise DeployError(f"{path.name}: what was in {path} was not kept; it is left as it is")
    else:
        write_atomic(path, image, mode=cast("int", was["mode"]))
    fsync_folder(path.parent)


def require_startable(name: str, text: str) -> str:
    """Raise DeployError if systemd would refuse to start the unit ``name`` with the file ``text`` and its drop-ins.
    Returns a remark where there is no systemd-analyze to ask, else an empty text."""
    analyze = shutil.which("systemd-analyze", path=_FOLDERS)
    if analyze is None:
        return f"{name} was not checked: there is no systemd-analyze on this host"
    with tempfile.TemporaryDirectory(prefix="hostwright-unit-") as folder:
        file = Path(folder, name)
        file.write_text(text)
        done = run([analyze, "verify", "--man=no", "--recursive-errors=no", f"{file}"], timeout_s=_ANALYZE_TIMEOUT_S)
    lines = plain_lines(done.error.decode(errors="replace"))
    if any(_REFUSES in line and name in line for line in lines):
        why = next((line for line in lines if line.startswith(f"{name}: ")), f"{name}: {_REFUSES}")
        raise DeployError(why, hint="see systemd.unit(5); what was there stands", kind=ProblemKind.NOT_VALID)
    return ""
