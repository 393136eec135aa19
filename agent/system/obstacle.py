"""Obstacles that keep even root from replacing a file, a mount or an attribute, each with its way out."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path

from agent.system.descriptor import opened

_READABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NAMED = os.O_PATH | os.O_NOFOLLOW

_FS_IOC_GETFLAGS = 0x80086601
_FLAGS = {0x10: ("immutable", "i"), 0x20: ("append-only", "a")}
"""Flags of linux/fs.h, each with a word and its letter in chattr(1)."""


def is_mount_point(parent: int, name: str) -> bool:
    """True if something is mounted on ``name`` in the open folder ``parent``. Raises OSError."""
    with opened(".", _NAMED, at=parent) as folder, opened(name, _NAMED, at=parent) as descriptor:
        return _mount(folder) != _mount(descriptor)


def explained(error: OSError, parent: int, name: str) -> tuple[str, str]:
    """The reason why ``name`` in the open folder ``parent`` could not be changed, and a hint, which may be empty."""
    folder = Path(f"/proc/self/fd/{parent}").readlink()
    with suppress(OSError):
        if error.errno == errno.EBUSY and is_mount_point(parent, name):
            return "something is mounted there", f"`umount {folder / name}`, or leave it out"
    if error.errno in (errno.EPERM, errno.EACCES):
        for each, path in ((name, folder / name), (".", folder)):
            word, letter = _flag(parent, each)
            if word:
                return f"{path} is {word}", f"`chattr -{letter} {path}`"
    return error.strerror or f"{error}", ""


def _flag(parent: int, name: str) -> tuple[str, str]:
    with suppress(OSError):
        with opened(name, _READABLE, at=parent) as descriptor:
            flags = int.from_bytes(fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8))[:4], sys.byteorder)
        return next((told for bit, told in _FLAGS.items() if flags & bit), ("", ""))
    return "", ""


def _mount(descriptor: int) -> str:
    """The number of the mount in which an open file lies (proc_pid_fdinfo(5)). The device would not do: a bind mount
    has the same as its file system."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))
