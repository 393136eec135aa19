"""Misplaced things: in the place of a file or folder of ours lies another kind of thing, or one of another user.

The agent sets them aside and removes none, because somebody put them there. It never follows, opens or waits for one.
The webhook's service imports this module and is to stay small, so it takes nothing but the standard library.
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
"""The end of the name of a thing that was set aside; only the newest one is kept."""

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
    """The misplaced thing at ``path``, in words; empty if a regular file of ours is there, or nothing. Raises OSError
    if that cannot be told."""
    return _misplaced(path, stat.S_IFREG)


def misplaced_folder(path: Path) -> str:
    """The misplaced thing at ``path``, in words; empty if a folder of ours is there, or nothing. Raises OSError if that
    cannot be told."""
    return _misplaced(path, stat.S_IFDIR)


def require_private(path: Path) -> None:
    """Raise SettingsError unless ``path`` is a file of ours that nobody else can read or write; OSError if it is
    missing or cannot be looked at."""
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
    """Rename the thing at ``path`` to a name that nobody uses, and return the new path. Raises OSError."""
    aside = aside_of(path)
    discard(aside)
    path.rename(aside)
    fsync_folder(path.parent)
    return aside


def aside_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{SUFFIX}")


def begun_afresh(path: Path, why: str, then: str = "the next cycle is as any other") -> SettingsError:
    """The problem for the next report after the file at ``path`` was set aside, or is gone, and a new one was begun.
    ``why``: the reason, in words that follow the path. ``then``: what happens next."""
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
