"""The way down to a folder: a path turned into a descriptor, one component at a time.

Each component is opened relative to the one before, so that nobody can put a link in between the check and the use.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.errors import DeployError

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_HOPS = 40
"""The kernel's own bound on links in one path."""


class Refused(DeployError):
    """Something stands in the way that only a person may remove, or that could lead astray."""

    default_kind = "path-refused"


@dataclass(frozen=True, slots=True)
class Base:
    """Where the paths of items begin.

    ``root_links``: a component may be a link that belongs to root (``/lib``, ``/var/run``), which root alone could
    have made. In a home no link is followed at all.
    """

    path: str
    root_links: bool

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder at ``path``. Raises OSError, Refused."""
        with folder(None, self.path.strip("/"), root_links=True) as descriptor:
            yield descriptor


SYSTEM = Base("/", root_links=True)


@contextmanager
def folder(start: int | None, path: str, *, root_links: bool) -> Iterator[int]:
    """A descriptor of the folder ``path`` (relative, ``""`` for itself) below ``start``, or below / without it.

    Raises Refused for a link on the way that may not be followed, OSError for what is missing or no folder.
    """
    current = os.open(".", _FOLDER, dir_fd=start) if start is not None else os.open("/", _FOLDER)
    try:
        left = [part for part in reversed(path.split("/")) if part]
        hops = 0
        while left:
            part = left.pop()
            try:
                following = os.open(part, _FOLDER, dir_fd=current)
            except NotADirectoryError:
                target = _root_link(current, part) if root_links else None
                if target is None:
                    _refuse_link(current, part, path)
                    raise
                hops += 1
                if hops > _LINK_HOPS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                left.extend(part for part in reversed(target.split("/")) if part)
                following = os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=current)
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


def _root_link(parent: int, name: str) -> str | None:
    """The target of the link ``name``, if it is a link and root's own; read from the very link that was judged."""
    link = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        status = os.fstat(link)
        return os.readlink("", dir_fd=link) if stat.S_ISLNK(status.st_mode) and status.st_uid == 0 else None
    finally:
        os.close(link)


def _refuse_link(parent: int, name: str, path: str) -> None:
    if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        raise Refused(f"{name} on the way to {path} is a link, and is not followed", hint="name the real folder")
