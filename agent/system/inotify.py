"""inotify(7): tells when something changes in a folder. Loaded only where fleet.yaml asks to watch."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_CLOSE_WRITE, _ATTRIB, _MODIFY = 0x8, 0x4, 0x2
_MOVED, _CREATE, _DELETE = 0x40 | 0x80, 0x100, 0x200
_SELF = 0x400 | 0x800  # the folder itself is deleted or moved
_ONLY_DIRECTORIES = 0x01000000

_MASK = _CLOSE_WRITE | _ATTRIB | _MODIFY | _MOVED | _CREATE | _DELETE | _SELF | _ONLY_DIRECTORIES

_BUFFER = 64 * 1024
_READS = 70
"""Enough for all that the kernel keeps (fs.inotify.max_queued_events, 16,384 of at most 272 bytes). Whoever changes
something all the time could have us read without end."""


class FolderWatch:
    """Folders that are watched. Its descriptor (``fileno``) can be read when something has changed in one of them."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has no more to give (EMFILE, fs.inotify.max_user_instances)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _error("inotify")

    def fileno(self) -> int:
        return int(self._descriptor)

    def add(self, folders: Iterable[bytes]) -> None:
        """Watch these folders; those that are not there are passed over. Raises OSError where the kernel has no more to
        give (ENOSPC, fs.inotify.max_user_watches)."""
        for folder in folders:
            if self._libc.inotify_add_watch(self._descriptor, folder, _MASK) < 0:
                error = _error(os.fsdecode(folder))
                if not isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)):
                    raise error

    def drain(self) -> bool:
        """Forget what has happened by now, also while more happens all the time. Return False where nothing has."""
        happened = False
        try:
            for _ in range(_READS):
                os.read(self._descriptor, _BUFFER)
                happened = True
        except BlockingIOError:
            pass
        return happened

    def close(self) -> None:
        os.close(self._descriptor)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
