"""Looking at and writing one name in a folder, by the folder's descriptor.

What is written is written under a temporary name in the same folder and renamed: a reader, and a machine that loses
power, has the old or the new, never half of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.system.descent import Refused, renamer

CONTENT_LIMIT = 64 * 1024 * 1024
"""Bytes of a file that are read for comparing; a longer one counts as different."""

BACKUP_SUFFIX = ".before-hostwright"

_DEPTH_LIMIT = 32
"""Folders in folders that are looked through for links."""

_TEMPORARY = re.compile(r"\.hostwright-[0-9a-f]{16}")
_LABEL = "security.selinux"
"""Belongs to the path rather than to the content, so that a file that takes another's place takes its label."""
_NO_LABELS = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)
"""A file system without labels; or a user who may replace another's file, and not read it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path: nothing (``status`` is None), a regular file with its content (None beyond
    ``CONTENT_LIMIT``), a link with its target, a folder that is ``empty`` or not, or something else."""

    status: os.stat_result | None = None
    content: bytes | None = None
    target: str | None = None
    empty: bool = False

    @property
    def type(self) -> int:
        """``stat.S_IFMT`` of it, 0 for nothing."""
        return stat.S_IFMT(self.status.st_mode) if self.status else 0

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.status.st_mode) if self.status else 0

    @property
    def name(self) -> str:
        return _TYPE_NAMES.get(self.type, "a device")


_TYPE_NAMES = {
    0: "nothing",
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def look(parent: int, name: str, *, read: bool = True) -> Found:
    """What is at ``name`` in the folder ``parent``. Never waits on a FIFO or a device. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return Found()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return Found(status, target=os.readlink(name, dir_fd=parent))
    if kind == stat.S_IFDIR:
        return Found(status, empty=_is_empty(parent, name))
    if kind == stat.S_IFREG and read:
        return _read(parent, name)
    return Found(status)


def _is_empty(parent: int, name: str) -> bool:
    with _readable(parent, name) as descriptor, os.scandir(descriptor) as entries:
        return next(entries, None) is None


def _read(parent: int, name: str) -> Found:
    with _readable(parent, name) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > CONTENT_LIMIT:
            return Found(status)
        # One byte more than there should be: a regular file is read to its end in one call, so a full buffer
        # means that it grows.
        content = os.read(descriptor, status.st_size + 1)
        return Found(status, content=content)


@dataclass(frozen=True, slots=True)
class Attributes:
    mode: int
    uid: int
    gid: int


def put_file(parent: int, name: str, content: bytes, attributes: Attributes, *, all_labels: bool, backup: bool) -> None:
    """``content`` as the whole of ``name``, in place of a file, a link, an empty folder or nothing.

    The SELinux label of a file that it replaces stays; with ``all_labels`` its ACLs and other extended attributes
    too (for a file that is only edited). Raises OSError; then the old file stands.
    """
    if backup:
        _back_up(parent, name)
    with _temporary(parent) as temporary:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _own(descriptor, attributes)
            _take_over_labels(parent, name, descriptor, all_labels=all_labels)
            os.fsync(descriptor)
        _replace(parent, temporary, name)


def put_link(parent: int, name: str, target: str, *, backup: bool) -> None:
    """``name`` as a link to ``target``, in place of a file, a link, an empty folder or nothing. Raises OSError."""
    if backup:
        _back_up(parent, name)
    with _temporary(parent) as temporary:
        os.symlink(target, temporary, dir_fd=parent)
        _replace(parent, temporary, name)


def put_folder(parent: int, name: str, attributes: Attributes, *, backup: bool) -> None:
    """``name`` as a new folder, in place of a file, a link or nothing; it has its name only with its attributes.
    Raises OSError."""
    if backup:
        _back_up(parent, name)
    with _temporary(parent) as temporary:
        os.mkdir(temporary, 0o700, dir_fd=parent)
        set_attributes(parent, temporary, attributes)
        if look(parent, name, read=False).type in (stat.S_IFREG, stat.S_IFLNK):
            os.unlink(name, dir_fd=parent)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def remove(parent: int, name: str, *, backup: bool) -> None:
    """No ``name`` any more: a file, a link or an empty folder goes. Raises OSError."""
    if backup:
        _back_up(parent, name)
    _unlink(parent, name)
    _sync(parent)


def forget_backup(parent: int, name: str) -> None:
    """What ``backup`` kept of ``name`` goes when it says nothing that is not there again. Raises OSError."""
    backup = f"{name}{BACKUP_SUFFIX}"
    with contextlib.suppress(PermissionError):  # somebody's own, then
        now, kept = look(parent, name), look(parent, backup)
        if kept.type == now.type and (kept.content, kept.target) == (now.content, now.target) != (None, None):
            _unlink(parent, backup)
            _sync(parent)


def leads_into(target: str | None, place: str) -> bool:
    """Whether a relative link somewhere in a home has this target in the home's folder ``place``."""
    while target is not None and target.startswith("../"):
        target = target.removeprefix("../")
    return target is not None and target.startswith(f"{place}/")


def holds_only_links(parent: int, name: str, place: str, depth: int = _DEPTH_LIMIT) -> bool:
    """Whether the folder ``name`` holds nothing but links into ``place``, and folders of such. Raises OSError."""
    with _readable(parent, name) as folder:
        for inner in _names(folder):
            found = look(folder, inner, read=False)
            if found.type == stat.S_IFDIR:
                if not depth or not holds_only_links(folder, inner, place, depth - 1):
                    return False
            elif not leads_into(found.target, place):
                return False
    return True


def remove_links(parent: int, name: str, place: str) -> None:
    """Empties a folder that ``holds_only_links``. Raises OSError where it holds something else by now."""
    with _readable(parent, name) as folder:
        for inner in _names(folder):
            found = look(folder, inner, read=False)
            if found.type == stat.S_IFDIR:
                remove_links(folder, inner, place)
                os.rmdir(inner, dir_fd=folder)
            elif leads_into(found.target, place):
                os.unlink(inner, dir_fd=folder)


def set_attributes(parent: int, name: str, attributes: Attributes) -> None:
    """Owner and mode of a file or a folder, as it is. Raises OSError, Refused."""
    with _readable(parent, name) as descriptor:
        _require_not_given_away(parent, name, descriptor, attributes)
        _own(descriptor, attributes)
        os.fsync(descriptor)


def _require_not_given_away(parent: int, name: str, descriptor: int, attributes: Attributes) -> None:
    """A folder that holds something is not given to somebody, nor opened for more people, where others may have put
    another folder of that name there. Files need no such care: only those with the wanted content come here."""
    status = os.fstat(descriptor)
    given = (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid)
    opened = attributes.mode & ~status.st_mode & 0o077
    if not stat.S_ISDIR(status.st_mode) or not (given or opened) or _is_empty(parent, name):
        return
    hand = renamer(parent)
    if hand is not None and not hand.vouches_for(status):
        raise Refused(
            f"{hand.folder}/{name} is not empty and keeps its owner and mode: {hand}, who may have put it there",
            hint=f"give {hand.folder} to root, or set them by hand",
        )


def _own(descriptor: int, attributes: Attributes) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid):
        os.fchown(descriptor, attributes.uid, attributes.gid)
    os.fchmod(descriptor, attributes.mode)  # after the owner: changing that clears the set-id bits


@contextmanager
def _temporary(parent: int) -> Iterator[str]:
    """A name in the folder that nobody can guess; what is left under it, or by a run that was killed, goes."""
    for name in _names(parent):
        if _TEMPORARY.fullmatch(name):
            _unlink(parent, name)
    temporary = f".hostwright-{secrets.token_hex(8)}"
    try:
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):
            _unlink(parent, temporary)
        raise
    _sync(parent)


def _replace(parent: int, temporary: str, name: str) -> None:
    if look(parent, name, read=False).type == stat.S_IFDIR:
        os.rmdir(name, dir_fd=parent)
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _back_up(parent: int, name: str) -> None:
    """Once: what stood there before the first change. A second name of the same file, which keeps all of it; a copy
    where that is not allowed (another's file) or the file system has no such thing."""
    backup = f"{name}{BACKUP_SUFFIX}"
    if look(parent, name, read=False).type not in (stat.S_IFREG, stat.S_IFLNK):
        return
    try:
        os.link(name, backup, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError:
        found = look(parent, name)
        if found.content is None:
            raise
        attributes = Attributes(found.mode & 0o777, os.geteuid(), os.getegid())
        put_file(parent, backup, found.content, attributes, all_labels=False, backup=False)


def _take_over_labels(parent: int, name: str, descriptor: int, *, all_labels: bool) -> None:
    if look(parent, name, read=False).type != stat.S_IFREG:
        return
    try:
        with _readable(parent, name) as old:
            for attribute in os.listxattr(old):
                if attribute == _LABEL or (all_labels and not attribute.startswith("security.")):
                    os.setxattr(descriptor, attribute, os.getxattr(old, attribute))
    except OSError as error:
        if error.errno not in _NO_LABELS:
            raise


def _unlink(parent: int, name: str) -> None:
    if look(parent, name, read=False).type == stat.S_IFDIR:
        os.rmdir(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def _names(parent: int) -> list[str]:
    with _readable(parent, ".") as descriptor, os.scandir(descriptor) as entries:
        return [entry.name for entry in entries]


def _sync(parent: int) -> None:
    with _readable(parent, ".") as descriptor:
        os.fsync(descriptor)


@contextmanager
def _readable(parent: int, name: str) -> Iterator[int]:
    """A descriptor of a file or a folder that can be read, waits for nothing and is no link."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
