"""Files that survive: written whole or not at all, read within bounds, on paths that were checked.

Everything the agent remembers goes through here. Nothing in this module follows a symbolic link in the last
component of a path.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import BinaryIO

from agent.errors import SettingsError
from agent.system import obstacle
from agent.system.attributes import ACCESS, give
from agent.system.descriptor import FOLDER, opened

READ_LIMIT = 16 * 1024 * 1024
"""Bytes; more than any state file of ours, little enough to hold in memory."""


LEFTOVER_S = 3600
"""Nobody takes so long to write a document."""


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """``data`` as the whole content of ``path``, durable when this returns; a reader sees the old or the new file.

    Temp file in the same folder, fsync, rename, fsync of the folder. Raises OSError; then the old file stands.
    """
    try:
        _replace({path: data}, mode, durable=True)
    except OSError as error:
        raise explained(error, path) from None
    fsync_folder(path.parent)


def write_unsynced(path: Path, data: bytes) -> None:
    """``data`` as the whole content of ``path``, where losing it with the power does no harm and the reader knows a
    damaged one. A reader sees the old or the new file. Raises OSError."""
    _replace({path: data})


def explained(error: OSError, path: Path) -> OSError:
    """``error`` with what keeps ``path`` from being replaced or removed, and the way out, as its text."""
    with suppress(OSError):
        with opened(path.parent, FOLDER) as folder:
            reason, hint = obstacle.explained(error, folder, path.name)
        return OSError(error.errno, f"{reason}; {hint}", error.filename) if hint else error
    return error


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that nobody has and nobody can guess; ``sweep`` knows it."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")


def _new_file(path: Path, mode: int) -> BinaryIO:
    """Create a file with exactly this mode: a folder's default ACL gives nobody anything. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give(descriptor, {}, (ACCESS,))
    os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "wb")


def sweep(folder: Path, *, shared: Collection[str] = ()) -> None:
    """Removes what ``write_atomic`` and ``write_all`` left in ``folder`` when they were killed or lost their power. The
    caller is the only one who writes there, but for the files called ``shared``: of those only what is old goes. What
    does not go is in nobody's way."""
    for left in folder.glob(".*.new"):
        name = left.name.removeprefix(".").rsplit(".", 2)[0]
        with suppress(OSError):
            if name not in shared or left.lstat().st_mtime < time.time() - LEFTOVER_S:
                discard(left)


def write_all(folder: Path, files: Mapping[Path, bytes], *, mode: int = 0o600) -> None:
    """Write many files of one ``folder``, in a tenth of the time of ``write_atomic``: each is old or new, and all are
    durable when this returns. Raises OSError; then some may be new."""
    _replace(files, mode, synced_with=folder)
    fsync_folder(folder)


def _replace(
    files: Mapping[Path, bytes], mode: int = 0o600, *, durable: bool = False, synced_with: Path | None = None
) -> None:
    """Give files of the same folder new content. It is on the disk before any has its name: with ``durable`` file by
    file, with ``synced_with`` by that folder's file system."""
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
    """Appends one line and waits until it is on the disk. A torn last line is the reader's to skip."""
    created = not path.exists()
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW) as descriptor:
        os.write(descriptor, line)
        os.fsync(descriptor)
    if created:
        fsync_folder(path.parent)


def read_bounded(path: Path | str, limit: int = READ_LIMIT) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises OSError, also for what is not a regular file
    (nothing here waits on a FIFO) and for more than ``limit``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # fdopen does not, where it is of a folder
        raise OSError(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"{path} is larger than {limit} bytes")
    return data


def fsync_folder(folder: Path) -> None:
    """Makes renames and new names in ``folder`` durable."""
    with opened(folder, FOLDER) as descriptor:
        os.fsync(descriptor)


def sync_file_system(folder: Path | int) -> None:
    """Makes everything written so far to the file system of ``folder`` (its path, or an open one) durable, with one
    call (syncfs(2)): for a thousand small files a quarter of the time of an fsync each. Raises OSError."""
    import ctypes  # not needed by the daemon, which imports this module and is to stay small

    if isinstance(folder, Path):
        with opened(folder, FOLDER) as descriptor:
            sync_file_system(descriptor)
    elif ctypes.CDLL(None, use_errno=True).syncfs(folder) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def make_private_folder(path: Path) -> None:
    """``path`` as a folder that only its owner may enter; its missing parents too, those readable to all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def discard(path: Path) -> None:
    """Removes a file, a link or a whole folder of ours; fine when there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)


def others_hand(status: os.stat_result, *, sticky: bool = False) -> str:
    """Why others than root (or who runs this) could change what has this ``status``; empty where nobody could.
    ``sticky``: in a folder with that bit each may rename only what is his own, so it is nobody's."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to uid {status.st_uid}, not to root"
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode) or not mode & 0o022:
        return ""
    return "" if sticky and mode & stat.S_ISVTX else f"can be written to by others (mode {mode:04o})"


def require_owned_throughout(path: Path) -> None:
    """Every component from / to ``path`` belongs to root (or who runs this) and is writable by nobody else.

    Raises SettingsError naming the component: whoever owns one of them could put another thing in its place.
    """
    resolved = path.resolve(strict=False)
    for component in (*reversed(resolved.parents), resolved):
        try:
            status = component.lstat()
        except FileNotFoundError:
            return
        if hand := others_hand(status, sticky=stat.S_ISDIR(status.st_mode)):
            at = quote(f"{component}")
            hint = f"`chown root: {at} && chmod go-w {at}`, or use a path that only root can write to, not {path}"
            raise SettingsError(f"{component} {hand}", hint=hint)
