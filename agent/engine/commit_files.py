"""The guard of a commit's files against deploy code: a host applies exactly the bytes that were verified.

It stops Python code in a plan and in an apply. In a plan the mounts are read-only, too. During an apply a shell command
could write to the files; the next cycle exports the commit anew, and so undoes that.
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
"""By audit event of Python: the indices of its arguments with a path that it changes and with the descriptor of the
folder that the path starts from (None: it has none)."""

_roots: list[str] = []


def keep_unwritten(root: Path) -> None:
    """Refuse all changes below ``root`` by Python code of this process with EROFS, from now on and for good."""
    if not _roots:
        sys.addaudithook(_refuse_writing)
    if f"{root}" not in _roots:
        _roots.append(f"{root}")


def _refuse_writing(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        # The event of os.open does not have the folder that a relative path starts from.
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
