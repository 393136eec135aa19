"""A disk that a host's power can be cut from: what was synced is there afterwards, and the rest is not.

It is an ext4 in a file, mounted where only the host's own processes see it, so that it is gone with them. The mount
options leave out what ext4 does for programs that forget to sync (``noauto_da_alloc``, and a commit every few seconds).
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

SIZE_MIB = 1024
"""Sparse: it takes what is written to it."""

_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
"""ioctl_ext4(2) and ioctl_xfs_goingdown(2): nothing reaches the disk any more, the journal in memory neither."""


class Disk:
    """Lies in ``folder``, as long as the host does."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "disk.img"
        self.mounted = folder / "disk"
        """Where the host's processes see it; an empty folder to all others."""

    def format(self, upper: Path) -> None:
        """Makes it anew with ``upper``, a folder of that name, on it, and takes that away from where it was."""
        seed = upper.parent / "seed"
        seed.mkdir()
        upper.rename(seed / upper.name)
        self.mounted.mkdir()
        command = ["mkfs.ext4", "-q", "-F", "-d", f"{seed}", f"{self._file}", f"{SIZE_MIB}m"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def mount_script(self) -> str:
        return f"mount -o loop,noauto_da_alloc,commit=300 {self._file} {self.mounted}; "

    def cut(self, pid: int) -> None:
        """From now on nothing is written to it; ``pid``: a process that sees it."""
        descriptor = os.open(f"/proc/{pid}/root{self.mounted}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
