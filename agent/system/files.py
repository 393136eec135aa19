"""Files that survive: written whole or not at all, read within bounds, on paths that were checked.

The agent reads and writes all its state through this module. No function here follows a symbolic link in the last
component of a path.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import BinaryIO

from agent.errors import SettingsError
from agent.system import obstacle
from agent.system.attributes import ACCESS, give
from agent.system.descriptor import FOLDER, opened

READ_LIMIT = 16 * 1024 * 1024
"""Bytes: more than any state file has, few enough to hold in memory."""

LINKS_MOST = 40
"""Links that are followed on the way to one path; the kernel follows as many."""

LEFTOVER_S = 3600
"""Age in seconds from which a temporary file is a leftover: no writer takes so long."""

ROOM_BYTES = 1024 * 1024
"""Bytes: more than all documents of one cycle take."""

_PROBE = ".room"
_UNTOLD = (errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of file systems that cannot reserve bytes; on these, only a write shows that the disk is full."""


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write ``data`` as the whole content of ``path``, durable when this returns; a reader sees the old or new file.

    A temporary file in the same folder, fsync, rename, fsync of the folder. Raises OSError; then the old file stands.
    """
    try:
        _replace({path: data}, mode, durable=True)
    except OSError as error:
        # By the name that people know, and not by a temporary one
        raise OSError(error.errno, explained(error, path).strerror or f"{error}", f"{path}") from None
    fsync_folder(path.parent)


def write_unsynced(path: Path, data: bytes) -> None:
    """Write ``data`` as the whole content of ``path`` without waiting for the disk: for a file whose loss does no harm,
    and whose reader recognises damage. A reader sees the old or the new file. Raises OSError."""
    _replace({path: data})


def explained(error: OSError, path: Path) -> OSError:
    """``error`` with a text that says what keeps ``path`` from being replaced or removed, and the way out; ``error``
    itself if nobody knows."""
    with suppress(OSError):
        with opened(path.parent, FOLDER) as folder:
            reason, hint = obstacle.explained(error, folder, path.name)
        return OSError(error.errno, f"{reason}; {hint}", error.filename) if hint else error
    return error


def in_words(error: OSError) -> str:
    """The ``error`` for people: no number, no temporary name, and the way out where one is known."""
    path = error.filename2 or error.filename
    if error.strerror is None or not isinstance(path, str):
        return f"{error}"
    known = explained(error, Path(path)).strerror or ""
    return known if path.startswith("/") and path in known else f"{path}: {known}"


def temporary_name(path: Path) -> Path:
    """A new name beside ``path`` that nobody can guess; ``sweep`` recognises it."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")


def _new_file(path: Path, mode: int) -> BinaryIO:
    """Create a file with exactly this mode: an ACL that comes from the folder is removed. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give(descriptor, {}, (ACCESS,))
    os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "wb")


def sweep(folder: Path, *, shared: Collection[str] = ()) -> None:
    """Remove the temporary files that ``write_atomic`` and ``write_all`` left in ``folder`` when they were cut off. The
    caller is the only writer there, except for the files called ``shared``: their temporary files go only when older
    than LEFTOVER_S. A file that cannot be removed stays; it does no harm."""
    for left in folder.glob(".*.new"):
        name = left.name.removeprefix(".").rsplit(".", 2)[0]
        with suppress(OSError):
            if name not in shared or left.lstat().st_mtime < time.time() - LEFTOVER_S:
                discard(left)


def write_all(folder: Path, files: Mapping[Path, bytes], *, mode: int = 0o600) -> None:
    """Write many files of one ``folder``, in a tenth of the time of ``write_atomic``. A reader sees each file old or
    new; all are durable when this returns. Raises OSError; then some may be new."""
    _replace(files, mode, synced_with=folder)
    fsync_folder(folder)


def _replace(
    files: Mapping[Path, bytes], mode: int = 0o600, *, durable: bool = False, synced_with: Path | None = None
) -> None:
    """Give files of the same folder new content. With ``durable`` each is synced by itself, with ``synced_with`` the
    whole file system of that folder; in both cases before any file gets its name."""
    renames = {path: temporary_name(path) for path in files}
    try:
        for path, temporary in renames.items():
            with _new_file(temporary, mode) as file:
                file.write(files[path])
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        if synced_with is not None:
            sync_file_system(synced_with)
        for path, temporary in renames.items():
            temporary.replace(path)
    except BaseException:
        for temporary in renames.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def append_durable(path: Path, line: bytes) -> None:
    """Append one line and wait until it is on the disk. Readers must skip a torn last line. Raises OSError."""
    created = not path.exists()
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW) as descriptor:
        os.write(descriptor, line)
        os.fsync(descriptor)
    if created:
        fsync_folder(path.parent)


def read_bounded(path: Path | str, limit: int = READ_LIMIT) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises OSError, also for a larger file, and for
    anything else than a regular file; it never waits on a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # fdopen does not close the descriptor of a folder
        raise OSError(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"{path} is larger than {limit} bytes")
    return data


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable. Raises OSError."""
    with opened(folder, FOLDER) as descriptor:
        os.fsync(descriptor)


def sync_file_system(folder: Path | int) -> None:
    """Make everything written so far to the file system of ``folder`` (a path or a descriptor) durable, by syncfs(2):
    for a thousand small files in a quarter of the time of an fsync each. Raises OSError."""
    import ctypes  # not needed by the webhook's service, which imports this module and is to stay small

    if isinstance(folder, Path):
        with opened(folder, FOLDER) as descriptor:
            sync_file_system(descriptor)
    elif ctypes.CDLL(None, use_errno=True).syncfs(folder) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def make_private_folder(path: Path) -> None:
    """Make the folder ``path``, which only its owner may enter, and its missing parents, which all may read. A folder
    that is there stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def require_room(folder: Path) -> None:
    """Raise OSError, naming ``folder``, if it takes no new file of ROOM_BYTES: it is full, in bytes or inodes, or
    read-only, or gone. Nothing is left in it."""
    probe = folder / _PROBE
    try:
        discard(probe)
        with opened(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            probe.unlink()
            try:
                os.posix_fallocate(descriptor, 0, ROOM_BYTES)
            except OSError as error:
                if error.errno not in _UNTOLD:
                    raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{folder}") from error


def has_room(folder: Path) -> bool:
    with suppress(OSError):
        require_room(folder)
        return True
    return False


def discard(path: Path) -> None:
    """Remove a file, a link or a whole folder of ours, if it is there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)


def others_hand(status: os.stat_result, *, sticky: bool = False) -> str:
    """The reason why others than root (or the user who runs this) could change the file with this ``status``; empty if
    nobody could. ``sticky``: a folder with the sticky bit is fine, because in it each may rename only his own files."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to uid {status.st_uid}, not to root"
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode) or not mode & 0o022:
        return ""
    return "" if sticky and mode & stat.S_ISVTX else f"can be written to by others (mode {mode:04o})"


def require_owned_throughout(path: Path) -> None:
    """Raise SettingsError unless every folder and link from / to ``path`` belongs to root (or the user who runs this)
    and nobody else can write to it. Whoever could might put another file in the place of ``path``."""
    for component in _on_the_way(path):
        try:
            status = component.lstat()
        except FileNotFoundError:
            return
        if hand := others_hand(status, sticky=stat.S_ISDIR(status.st_mode)):
            at = quote(f"{component}")
            cure = f"chown -h root: {at}" if stat.S_ISLNK(status.st_mode) else f"chown root: {at} && chmod go-w {at}"
            hint = f"`{cure}`, or use a path that only root can write to, not {path}"
            raise SettingsError(f"{component} {hand}", hint=hint)


def _on_the_way(path: Path) -> Iterator[Path]:
    """Every component from / to ``path``: folders, links, and the components that the links lead to."""
    place, left, links = Path("/"), [*reversed(path.absolute().parts[1:])], LINKS_MOST
    yield place
    while left:
        part = left.pop()
        if part == "..":
            place = place.parent
            continue
        yield place / part
        if not (place / part).is_symlink() or links == 0:
            place /= part
            continue
        links -= 1
        target = (place / part).readlink()
        place = Path("/") if target.is_absolute() else place
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
