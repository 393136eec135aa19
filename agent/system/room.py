"""The check that a folder has room for new files, made before anything is begun."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from agent.system.descriptor import opened
from agent.system.files import discard

ROOM_BYTES = 1024 * 1024
"""Bytes: more than all documents of one cycle take."""

_PROBE = ".room"
_UNTOLD = (errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of file systems that cannot reserve bytes; on these, only a write shows that the disk is full."""


def require_room(folder: Path) -> None:
    """Raise OSError, naming ``folder``, if it takes no new file of ROOM_BYTES: it is full, in bytes or inodes, or
    read-only, or gone. Nothing is left in it."""
    probe = folder / _PROBE
    try:
        discard(probe)
        with opened(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            probe.unlink()
            try:
                os.posix_fallocate(descriptor, 0, ROOM_BYTES)
            except OSError as error:
                if error.errno not in _UNTOLD:
                    raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{folder}") from error


def has_room(folder: Path) -> bool:
    with suppress(OSError):
        require_room(folder)
        return True
    return False
