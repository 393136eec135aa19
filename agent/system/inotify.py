"""Folders watched for changes, by inotify(7). Loaded only if fleet.yaml asks to watch."""

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
"""The number of reads that empties the kernel's queue (fs.inotify.max_queued_events: 16,384 events of at most 272
bytes). They are bounded because constant changes could keep the reader busy for ever."""


class FolderWatch:
    """Folders that are watched. The descriptor (``fileno``) becomes readable when something changes in one of them."""

    def __init__(self) -> None:
        """Begin to watch no folder. Raises OSError if the kernel's limit is reached (EMFILE,
        fs.inotify.max_user_instances)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _error("inotify")

    def fileno(self) -> int:
        return int(self._descriptor)

    def add(self, folders: Iterable[bytes]) -> None:
        """Watch these folders too; those that are missing or closed to this user are passed over. Raises OSError if the
        kernel's limit is reached (ENOSPC, fs.inotify.max_user_watches)."""
        for folder in folders:
            if self._libc.inotify_add_watch(self._descriptor, folder, _MASK) < 0:
                error = _error(os.fsdecode(folder))
                if not isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)):
                    raise error

    def drain(self) -> bool:
        """Forget the changes so far, and return even if they never stop. Return False if there were none."""
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
