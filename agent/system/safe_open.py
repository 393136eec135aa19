"""The safe opening of a folder: a path turned into a descriptor, one component at a time.

Each component is opened relative to the one before, so that nobody can put a link there between the check and the use.
On the way it is also noted who may rename things in a folder. Below such a folder ownership proves nothing: that user
can move a folder or a link that belongs to root to the place where another one is expected.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.confinement import NOBODY
from agent.system.descriptor import opened

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_HOPS = 40
"""The kernel's own bound on links in one path."""


class UnsafePath(DeployError):
    """The agent does not write to a path: it could lead elsewhere, or a person has to clear it first."""

    default_kind = ProblemKind.PATH_REFUSED


@dataclass(frozen=True, slots=True)
class Renamer:
    """A user besides root who may rename things in ``folder``. ``uid``: None if its ``mode`` lets several do so."""

    folder: str
    uid: int | None
    mode: int

    def vouches_for(self, status: os.stat_result) -> bool:
        """True if a thing with this ``status`` belongs to the renamer, so that only he or root can have put it there.
        False for all things if several users may rename."""
        return self.uid == status.st_uid

    def __str__(self) -> str:
        if self.uid is None:
            return f"{self.folder} can be written by a group or by all (mode {self.mode:04o})"
        return f"{self.folder} belongs to {user_name(self.uid)}"


def renamer(descriptor: int, *, adding: bool = False) -> Renamer | None:
    """The user besides root who may rename things in an open folder; None if there is none.

    In a sticky folder (``/tmp``) each user may rename only his own things, and so does not count; with ``adding`` he
    does, because he may add new ones. An ACL that lets somebody write shows in the group's bit, which is its mask
    (acl(5)).
    """
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022 and (adding or not mode & stat.S_ISVTX):
        return Renamer(_path(descriptor), None, mode)
    return None if is_trusted(status.st_uid) else Renamer(_path(descriptor), status.st_uid, mode)


@contextmanager
def folder(start: int | None, path: str, *, root_links: bool) -> Iterator[int]:
    """A descriptor of the folder ``path``, relative to the open folder ``start``, or to / if that is None. An empty
    ``path`` means that folder itself.

    ``root_links``: True for a folder of the system in which root is about to work. Links that belong to root are then
    followed, down to a folder in which a user may rename things: below it no link is followed, and each next folder
    must belong to that user (systemd's "unsafe path transition"). If several users may rename, the way ends there.
    Without ``root_links`` no link is followed.

    Raises UnsafePath for a link or folder that may not be passed, OSError for one that is missing or no folder.
    """
    current = os.open(".", _FOLDER, dir_fd=start) if start is not None else os.open("/", _FOLDER)
    try:
        left = [part for part in reversed(path.split("/")) if part]
        hops = 0
        while left:
            part = left.pop()
            hand = renamer(current) if root_links else None
            try:
                following = os.open(part, _FOLDER, dir_fd=current)
            except NotADirectoryError:
                target = _root_link(current, part) if root_links and hand is None else None
                if target is None:
                    _refuse_link(current, part, path, hand)
                    raise
                hops += 1
                if hops > _LINK_HOPS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                left.extend(part for part in reversed(target.split("/")) if part)
                following = os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=current)
            try:
                if hand is not None:
                    _require_vouched(hand, following)
            except BaseException:
                os.close(following)
                raise
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


def _require_vouched(hand: Renamer, following: int) -> None:
    """Raise UnsafePath unless the renamer ``hand`` owns the next folder, ``following``."""
    status = os.fstat(following)
    if hand.vouches_for(status):
        return
    below = _path(following)
    if hand.uid is None:
        hint = f"`chmod g-w,o-w {quote(f'{hand.folder}')}`, or `chmod +t` it: then each may rename only what is his own"
    else:
        hint = f"give {hand.folder} to root, or {below} and the folders in it to {user_name(hand.uid)}"
    raise UnsafePath(f"{below} is not entered: {hand}, who may have put it there", hint=hint)


def _root_link(parent: int, name: str) -> str | None:
    """The target of the link ``name``, if it belongs to root, read from the very link that was checked; else None. None
    also if others can add things to the folder: they could move a link of root there from anywhere."""
    if os.fstat(parent).st_mode & 0o022:
        return None
    with opened(name, os.O_PATH | os.O_NOFOLLOW, at=parent) as link:
        status = os.fstat(link)
        return os.readlink("", dir_fd=link) if stat.S_ISLNK(status.st_mode) and status.st_uid == 0 else None


def _refuse_link(parent: int, name: str, path: str, hand: Renamer | None) -> None:
    if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        why = f": {hand}" if hand is not None else ""
        raise UnsafePath(
            f"{name} on the way to {path} is a link, and is not followed{why}", hint="name the real folder"
        )


def is_trusted(uid: int) -> bool:
    """True for root, and for the user of this process, who may be trying a working copy; False for nobody, as whom the
    agent plans for root."""
    return uid == 0 or (uid == os.geteuid() and uid != NOBODY)


def _path(descriptor: int) -> str:
    return f"{Path(f'/proc/self/fd/{descriptor}').readlink()}"


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
