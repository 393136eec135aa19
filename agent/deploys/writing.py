"""Writing one name in a folder, by the folder's descriptor.

New things are made under a temporary name in the same folder and renamed: a reader, and a machine that loses power, has
the old or the new, never half of it. Functions that return a text return a warning, mostly empty.

With a ``batch`` a write is in place and on the disk when the batch has finished; without one, when the function
returns.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.deploys.at_path import AtPath, Attributes, entries, leads_into, look, readable
from agent.deploys.batch import NewFile, WriteBatch
from agent.system import obstacle
from agent.system.attributes import ACCESS, CAPABILITY, DEFAULT, carry_over, give
from agent.system.safe_open import UnsafePath, renamer, user_name

BACKUP_SUFFIX = ".before-hostwright"

_TEMPORARY = re.compile(r"\.hostwright-[0-9a-f]{16}")


@contextmanager
def _within(batch: WriteBatch | None) -> Iterator[WriteBatch]:
    """``batch``; or one that finishes at the end of this context."""
    if batch is not None:
        yield batch
        return
    with WriteBatch() as own:
        yield own
        for unfinished in own.finish():
            raise unfinished.error


def put_file(
    parent: int,
    name: str,
    content: bytes,
    attributes: Attributes,
    *,
    backup: bool,
    approve: Callable[[str], None] | None = None,
    batch: WriteBatch | None = None,
) -> str:
    """Write ``content`` as the whole of ``name``, in place of a file, a link, an empty folder or nothing.

    The new file takes over the SELinux label and other extended attributes of the one that it replaces. ``approve`` is
    called with the temporary name of the new file and may raise. Raises OSError; then the old file stays.
    """
    with _within(batch) as within:
        told = _tidy(parent, within)
        folder, temporary = within.folder(parent), _temporary_name()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            _write(descriptor, content)
            _take_over_labels(folder, name, descriptor)
            _own(descriptor, attributes)
            if approve is not None:
                approve(temporary)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                _unlink(folder, temporary)
            raise
        put = partial(_put_in_place, folder, temporary, name, content, attributes, backup=backup)
        within.add(NewFile(folder, temporary, name, put, descriptor))
    return told


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _put_in_place(
    parent: int, temporary: str, name: str, content: bytes, attributes: Attributes, *, backup: bool
) -> None:
    if backup:
        _back_up(parent, name)
    try:
        _replace(parent, temporary, name)
    except OSError as error:
        if error.errno != errno.EBUSY or not obstacle.is_mount_point(parent, name):
            raise
        _unlink(parent, temporary)
        _overwrite(parent, name, content, attributes)


def _overwrite(parent: int, name: str, content: bytes, attributes: Attributes) -> None:
    """Write into a file that something is mounted on, such as a container's ``/etc/hosts``: nothing can be renamed over
    it. A reader may see half of it meanwhile. After a loss of power the next look finds it and puts it right."""
    descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "wb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
        file.write(content)
        file.truncate()
        file.flush()
        _own(descriptor, attributes)
        os.fsync(descriptor)


def put_link(parent: int, name: str, target: str, *, backup: bool, batch: WriteBatch | None = None) -> str:
    """Make ``name`` a link to ``target``, in place of a file, a link, an empty folder or nothing. Raises OSError."""
    return _put(parent, name, lambda temporary, _: os.symlink(target, temporary, dir_fd=parent), backup, batch)


def put_folder(parent: int, name: str, attributes: Attributes, *, backup: bool, batch: WriteBatch | None = None) -> str:
    """Make ``name`` a new folder, in place of a file, a link or nothing. It gets its name once it has its attributes.
    Raises OSError."""

    def make(temporary: str, within: WriteBatch) -> None:
        os.mkdir(temporary, 0o700, dir_fd=parent)
        set_attributes(parent, temporary, attributes, seen=look(parent, temporary), batch=within)

    return _put(parent, name, make, backup, batch, folder=True)


def _put(
    parent: int,
    name: str,
    make: Callable[[str, WriteBatch], None],
    backup: bool,
    batch: WriteBatch | None,
    *,
    folder: bool = False,
) -> str:
    """Make a link or a ``folder`` under a temporary name, and rename it to ``name``. A failure leaves nothing
    behind."""
    with _within(batch) as within:
        told = _tidy(parent, within)
        within.folder(parent)
        if backup:
            _back_up(parent, name)
        temporary = _temporary_name()
        try:
            make(temporary, within)
            _replace(parent, temporary, name, folder=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                _unlink(parent, temporary)
            raise
    return told


def remove(parent: int, name: str, *, backup: bool, batch: WriteBatch | None = None) -> None:
    """Remove a file, a link or an empty folder. Raises OSError."""
    with _within(batch) as within:
        if backup:
            _back_up(parent, name)
        _unlink(parent, name)
        within.folder(parent)


def forget_backup(parent: int, name: str) -> None:
    """Remove the backup of ``name`` if it is equal to what is there again. Raises OSError."""
    backup = f"{name}{BACKUP_SUFFIX}"
    with contextlib.suppress(PermissionError):  # then it is somebody else's
        now, kept = look(parent, name), look(parent, backup)
        if kept.type == now.type and (kept.content, kept.target) == (now.content, now.target) != (None, None):
            remove(parent, backup, backup=False)


def remove_links(parent: int, name: str, place: str) -> None:
    """Remove all links into ``place`` from a folder that ``contains_only_links``, and its folders. Raises OSError if
    one of these holds something else by now."""
    with readable(parent, name) as folder:
        for inner in entries(folder):
            found = look(folder, inner, read=False)
            if found.type == stat.S_IFDIR:
                remove_links(folder, inner, place)
                os.rmdir(inner, dir_fd=folder)
            elif leads_into(found.target, place):
                os.unlink(inner, dir_fd=folder)


def set_attributes(
    parent: int, name: str, attributes: Attributes, *, seen: AtPath, batch: WriteBatch | None = None
) -> None:
    """Give a file or a folder its attributes, in place. ``seen``: what was found there. Raises OSError, and UnsafePath
    if something else is there by now: whoever owns the folder may put another's file there."""
    with _within(batch) as within, readable(parent, name) as descriptor:
        _require_seen(name, descriptor, seen)
        _require_not_given_away(parent, name, descriptor, attributes)
        _own(descriptor, attributes)
        within.changed(descriptor)


def _require_seen(name: str, descriptor: int, seen: AtPath) -> None:
    status, before = os.fstat(descriptor), seen.status
    if before is None or (status.st_dev, status.st_ino) != (before.st_dev, before.st_ino):
        raise UnsafePath(f"{name} was replaced by something else just now", hint="the next cycle tries again")


def _require_not_given_away(parent: int, name: str, descriptor: int, attributes: Attributes) -> None:
    """Raise UnsafePath if a folder that holds something would be given to somebody, or opened for more people, although
    others may have put another folder of that name there. Files need no such care: only those that were seen to have
    the wanted content come here."""
    status = os.fstat(descriptor)
    given = (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid)
    opened = attributes.mode & ~status.st_mode & 0o077
    if not stat.S_ISDIR(status.st_mode) or not (given or opened) or look(descriptor, ".").empty:
        return
    hand = renamer(parent)
    if hand is not None and not hand.vouches_for(status):
        raise UnsafePath(
            f"{hand.folder}/{name} is not empty and keeps its owner and mode: {hand}, who may have put it there",
            hint=f"give {hand.folder} to root, or set them by hand",
        )


def _own(descriptor: int, attributes: Attributes) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid):
        os.fchown(descriptor, attributes.uid, attributes.gid)
    give(descriptor, attributes.giving, (ACCESS, DEFAULT))  # before the mode: it would open the file for whom they name
    os.fchmod(descriptor, attributes.mode)  # after the owner: changing that clears the set-id bits
    give(descriptor, attributes.giving, (CAPABILITY,))  # after the owner: changing that clears these, too


def _temporary_name() -> str:
    """A name that nobody can guess."""
    return f".hostwright-{secrets.token_hex(8)}"


def _tidy(parent: int, batch: WriteBatch) -> str:
    """Remove what a killed run left under temporary names. The first write of a batch in a folder begins with it. A
    thing that cannot be removed (a folder that holds something, a mount) is not ours and in nobody's way: the returned
    text names it."""
    strangers = []
    for name in entries(parent) if batch.comes_first(parent) else ():
        if _TEMPORARY.fullmatch(name):
            try:
                _unlink(parent, name)
            except OSError:
                strangers += _described(parent, name)
    return f"called as if it were the agent's, and left alone: {', '.join(strangers)}" if strangers else ""


def _described(parent: int, name: str) -> list[str]:
    """The path of a thing with its type and its owner, in words; no text if it has gone meanwhile."""
    with contextlib.suppress(OSError):
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        folder = Path(f"/proc/self/fd/{parent}").readlink()
        return [f"{folder / name}, {AtPath(status).name} of {user_name(status.st_uid)}"]
    return []


def _replace(parent: int, temporary: str, name: str, *, folder: bool = False) -> None:
    """Rename ``temporary`` to ``name``. rename(2) puts a ``folder`` only in place of a folder, and other things only in
    place of no folder: a thing in its way is removed before."""
    if look(parent, name, read=False).type in ((stat.S_IFREG, stat.S_IFLNK) if folder else (stat.S_IFDIR,)):
        _unlink(parent, name)
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _back_up(parent: int, name: str) -> None:
    """Keep, once, the state before the first change: as a second name of the same file, or as a copy if that is not
    allowed (another user's file) or the file system has no hard links. Keeps files and links only."""
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
        with _within(None) as alone:
            alone.comes_first(parent)  # so that it is not tidied: another batch may have new files in this folder
            put_file(parent, backup, found.content, attributes, backup=False, batch=alone)


def _take_over_labels(parent: int, name: str, descriptor: int) -> None:
    if look(parent, name, read=False).type == stat.S_IFREG:
        # A user may replace what he cannot read.
        with contextlib.suppress(PermissionError), readable(parent, name) as old:
            carry_over(old, descriptor)


def _unlink(parent: int, name: str) -> None:
    if look(parent, name, read=False).type == stat.S_IFDIR:
        os.rmdir(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)
