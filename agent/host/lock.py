"""The lock: only its holder may write on a host. It is an flock that the engine child inherits, so that it is not free
while that may still write."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import LockedError

POLL_S = 0.2
"""The seconds between two tries to get the lock; flock has no time-out of its own."""


@contextmanager
def locked(path: Path, *, wait_s: float = 0) -> Iterator[int]:
    """Hold the lock for as long as the context lasts, and yield its descriptor. Raises LockedError if it is not free
    within ``wait_s`` seconds."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    try:
        while not _take(descriptor):
            if time.monotonic() >= deadline:
                raise LockedError(
                    "another cycle is running on this host",
                    hint="`hostwright apply` waits for it; `journalctl -fu hostwright-cycle` shows it",
                )
            time.sleep(POLL_S)
        yield descriptor
    finally:
        # Closing frees the lock, unless a child still holds the same open file.
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
