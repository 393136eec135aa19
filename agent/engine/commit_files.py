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
_CHANGES = {
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}
"""By audit event of Python, where in its arguments a path stands that changes, and the folder that it starts from."""

_roots: list[str] = []


def keep_unwritten(root: Path) -> None:
    """From now on whatever Python code would change below ``root`` is refused with EROFS, for good."""
    if not _roots:
        sys.addaudithook(_refuse_writing)
    if f"{root}" not in _roots:
        _roots.append(f"{root}")


def _refuse_writing(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        # Of os.open nobody tells which folder a relative path starts from.
        if isinstance(flags, int) and flags & _WRITES and (mode is not None or _absolute(path)):
            _require_elsewhere(path, -1)
        return
    for place, folder in _CHANGES.get(event, ()):
        _require_elsewhere(arguments[place], -1 if folder is None else arguments[folder])


def _absolute(path: object) -> bool:
    return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith("/")


def _require_elsewhere(path: object, folder: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return
    name = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0 and not name.startswith("/"):
        name = f"/proc/self/fd/{folder}/{name}"
    above, last = os.path.split(os.path.abspath(name))  # noqa: PTH100  # links are followed below
    place = os.path.join(os.path.realpath(above), last)  # noqa: PTH118  # called for each file that is written
    if any(place == root or place.startswith(f"{root}/") for root in _roots):
        raise OSError(errno.EROFS, "the commit's files are not to be written to", os.fsdecode(path))
