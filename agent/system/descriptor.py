"""File descriptors that are always closed again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY
"""Flags for a folder that is to be listed, synced or worked in."""


@contextmanager
def opened(path: Path | str, flags: int, mode: int = 0o600, *, at: int | None = None) -> Iterator[int]:
    """A descriptor of ``path``, which is relative to the open folder ``at``; no program inherits it. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
