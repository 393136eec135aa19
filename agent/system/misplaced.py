"""What lies where something of ours should be and is none: a folder, a link, a pipe, what belongs to somebody else.

It is set aside, not removed: somebody put it there. It is never followed, opened or waited for. Standard library only:
the daemon reads through here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote

from agent.errors import Consequence, SettingsError
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder

SUFFIX = ".corrupt"
"""Of what was set aside; the newest one is kept."""

_CALLED = {
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def misplaced_file(path: Path) -> str:
    """The thing at ``path`` that is no regular file of ours, in words; empty for such a file, and for nothing. Raises
    OSError where nobody can tell."""
    return _misplaced(path, stat.S_IFREG)


def misplaced_folder(path: Path) -> str:
    """The thing at ``path`` that is no folder of ours, in words; empty for such a folder, and for nothing."""
    return _misplaced(path, stat.S_IFDIR)


def require_private(path: Path) -> None:
    """``path`` is a file of ours that nobody else can read or write. Raises SettingsError saying what it is instead,
    and OSError."""
    status = os.lstat(path)
    if wrong := misplaced_file(path):
        raise SettingsError(f"{path} is {wrong}", hint="put the file itself there, and let it belong to root")
    if mode := stat.S_IMODE(status.st_mode) & 0o077:
        able = "written" if mode & 0o022 else "read"
        raise SettingsError(
            f"{path} can be {able} by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"make a new key if somebody may have seen it, else: chmod 600 {quote(f'{path}')}",
        )


def set_aside(path: Path) -> Path:
    """Gives it a name under which nobody looks for it, and returns that. Raises OSError."""
    aside = aside_of(path)
    discard(aside)
    path.rename(aside)
    fsync_folder(path.parent)
    return aside


def aside_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{SUFFIX}")


def begun_afresh(path: Path, why: str, then: str = "the next cycle is as any other") -> SettingsError:
    """The problem that a report names once, when what was at ``path`` has been set aside, or is gone."""
    done, asked = "is", "who removed it?"
    if os.path.lexists(aside_of(path)):
        done, asked = f"was moved to {path.name}{SUFFIX} and", "is the disk failing (`dmesg`)?"
    return SettingsError(
        f"{path} {why}; it {done} begun afresh",
        kind=ProblemKind.STATE_CORRUPT,
        hint=f"{then}; {asked}",
        consequence=Consequence.RETRY,
    )


def _misplaced(path: Path, wanted: int) -> str:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ""
    kind = stat.S_IFMT(status.st_mode)
    if kind != wanted:
        return _CALLED.get(kind, "something else")
    if status.st_uid != os.geteuid():
        return f"{_CALLED[kind]} of the user {status.st_uid}"
    return ""
