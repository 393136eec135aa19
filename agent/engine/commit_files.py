"""A commit's files are not deploy code's to write to: what a host applies is what was verified, byte for byte.

This stops Python code, wherever it runs. A plan's mounts are read-only besides. What a command of a shell writes there
while a deploy is applied is undone by the next cycle, which exports the commit anew.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = frozenset(
    f"os.{name}" for name in ("chmod", "chown", "mkdir", "remove", "rmdir", "truncate", "utime", "setxattr")
)
_NEW_NAMES = frozenset({"os.rename", "os.link", "os.symlink"})
_roots: list[str] = []


def keep_unwritten(root: Path) -> None:
    """From now on whatever Python code would change below ``root`` is refused with EROFS, for good."""
    if not _roots:
        sys.addaudithook(_refuse_writing)
    if f"{root}" not in _roots:
        _roots.append(f"{root}")


def _refuse_writing(event: str, arguments: tuple[object, ...]) -> None:
    paths: tuple[object, ...]
    if event == "open":
        path, _, flags = arguments
        paths = (path,) if isinstance(flags, int) and flags & _WRITES else ()
    elif event in _CHANGES:
        paths = arguments[:1]
    elif event in _NEW_NAMES:
        paths = arguments[:2] if event == "os.rename" else arguments[1:2]
    else:
        return
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike) and _below(os.fsdecode(path)):
            raise OSError(errno.EROFS, "the commit's files are not to be written to", os.fsdecode(path))


def _below(path: str) -> bool:
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100  # links are followed below
    place = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118  # called for each file that is written
    return any(place == root or place.startswith(f"{root}/") for root in _roots)
