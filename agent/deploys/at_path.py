"""Looking at one name in a folder, by the folder's descriptor; and the owner that a thing there should have."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system import attributes

CONTENT_LIMIT = 64 * 1024 * 1024
"""The most bytes of a file that are read to compare it. A longer file counts as different."""

_READABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_DEPTH_LIMIT = 32
"""The most levels of folders that are searched for links."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Owner and mode, and exactly these ACLs and capabilities (``agent.system.attributes``), by default none."""

    mode: int
    uid: int
    gid: int
    giving: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AtPath:
    """The thing at a path: nothing (``status`` is None), a regular file with its content (None beyond
    ``CONTENT_LIMIT``), a link with its target, a folder that is ``empty`` or not, or something else."""

    status: os.stat_result | None = None
    content: bytes | None = None
    target: str | None = None
    empty: bool = False
    giving: Mapping[str, bytes] = field(default_factory=dict)
    """ACLs and capabilities of a file or a folder (``agent.system.attributes``)."""
    stranger: str = ""
    """The users besides root who may have put it there, in words, if somebody asked; empty for none."""

    @property
    def type(self) -> int:
        """The file type (``stat.S_IFMT``); 0 for nothing."""
        return stat.S_IFMT(self.status.st_mode) if self.status else 0

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.status.st_mode) if self.status else 0

    @property
    def name(self) -> str:
        return _TYPE_NAMES.get(self.type, "a device")

    @property
    def attributes(self) -> Attributes | None:
        """The owner, mode, ACLs and capabilities; None for nothing."""
        status = self.status
        return Attributes(self.mode, status.st_uid, status.st_gid, self.giving) if status is not None else None

    @property
    def described(self) -> str:
        """The ``name`` with the target of a link, or with a word on whether a directory is empty."""
        if self.type == stat.S_IFLNK:
            return f"a link to {self.target}"
        if self.type == stat.S_IFDIR:
            return "an empty directory" if self.empty else "a directory that is not empty"
        return self.name


_TYPE_NAMES = {
    0: "nothing",
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def look(parent: int, name: str, *, read: bool = True) -> AtPath:
    """The thing called ``name`` in the open folder ``parent``. Never waits on a FIFO or a device. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return AtPath()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return AtPath(status, target=os.readlink(name, dir_fd=parent))
    if kind == stat.S_IFDIR:
        return _folder(parent, name)
    if kind == stat.S_IFREG and read:
        return _read(parent, name)
    return AtPath(status)


def _folder(parent: int, name: str) -> AtPath:
    with readable(parent, name) as descriptor, os.scandir(descriptor) as inside:
        empty = next(inside, None) is None
        return AtPath(os.fstat(descriptor), empty=empty, giving=attributes.giving(descriptor))


def _read(parent: int, name: str) -> AtPath:
    descriptor = os.open(name, _READABLE, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > CONTENT_LIMIT:
            return AtPath(status, giving=attributes.giving(descriptor))
        # One byte more than there should be: a regular file is read to its end in one call, so a full buffer
        # means that it grows.
        content = os.read(descriptor, status.st_size + 1)
        return AtPath(status, content=content, giving=attributes.giving(descriptor))
    finally:
        os.close(descriptor)


def leads_into(target: str | None, place: str) -> bool:
    """True for the target of a relative link, anywhere in a home, that leads into the home's folder ``place``."""
    while target is not None and target.startswith("../"):
        target = target.removeprefix("../")
    return target is not None and target.startswith(f"{place}/")


def contains_only_links(parent: int, name: str, place: str, depth: int = _DEPTH_LIMIT) -> bool:
    """True for a folder that holds only links into ``place``, and folders that do. Raises OSError."""
    with readable(parent, name) as folder:
        for inner in entries(folder):
            found = look(folder, inner, read=False)
            if found.type == stat.S_IFDIR:
                if not depth or not contains_only_links(folder, inner, place, depth - 1):
                    return False
            elif not leads_into(found.target, place):
                return False
    return True


def entries(parent: int) -> list[str]:
    with readable(parent, ".") as descriptor, os.scandir(descriptor) as found:
        return [entry.name for entry in found]


@contextmanager
def readable(parent: int, name: str) -> Iterator[int]:
    """A descriptor for reading a file or a folder. Opening it never waits, and follows no link."""
    descriptor = os.open(name, _READABLE, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner that an item should have. ``uid`` or ``gid`` is None where the user or the group does not exist yet."""

    user: str
    group: str | None
    uid: int | None
    gid: int | None
    words: str

    @property
    def exists(self) -> bool:
        return self.uid is not None and self.gid is not None

    def __str__(self) -> str:
        return self.words

    def attributes(self, path: str, mode: int, giving: Mapping[str, bytes] | None = None) -> Attributes:
        """The attributes of a thing at ``path`` that this owner should have. Raises DeployError if the owner does not
        exist."""
        if self.uid is None or self.gid is None:
            missing = f"user {self.user}" if self.uid is None else f"group {self.group}"
            why = f"{missing} does not exist, who should own {path}"
            hint = "name an earlier deploy that creates it in `needs`, or correct the name"
            raise DeployError(why, hint=hint, kind=ProblemKind.NO_SUCH_OWNER)
        return Attributes(mode, self.uid, self.gid, giving or {})


Owners = Callable[[str, str | None], Owner]
"""``owner_of``, as it is or with a cache."""


def owner_of(user: str, group: str | None) -> Owner:
    """The owner by these names or numbers. If ``group`` is None, the user's own group; for a number without an account,
    the group of the same number."""
    number = int(user) if user.isdecimal() else None
    uid, gid = number, number
    with suppress(KeyError):
        account = pwd.getpwnam(user)
        uid, gid = account.pw_uid, account.pw_gid
    gid = gid if group is None else _gid(group)
    return Owner(user, group, uid, gid, _words(user, group, uid, gid))


def _words(user: str, group: str | None, uid: int | None, gid: int | None) -> str:
    if uid is None:
        return f"{user}, who does not exist yet"
    if gid is None:
        return f"{user}:{group}, a group that does not exist yet"
    return owner_names(uid, gid)


def owner_names(uid: int, gid: int) -> str:
    """The names as ``ann:users``; the number of one who has no name."""
    user, group = f"{uid}", f"{gid}"
    with suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name
    with suppress(KeyError):
        group = grp.getgrgid(gid).gr_name
    return f"{user}:{group}"


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return int(group) if group.isdecimal() else None
