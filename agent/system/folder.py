"""A config repo's files as they lie in a plain folder: what commands read on an administrator's machine, Git or not.

No link is followed, neither as a file nor on the way to one: a link is an entry whose content is its target, like
in Git. Everything is opened through descriptors of folders that were checked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.domain.tree import Entry, blob_id
from agent.errors import InventoryError

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes of one file; what is larger does not belong into a config repo."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FolderTree:
    """``domain.tree.Tree`` over a folder; ``.git`` is not part of it. Raises InventoryError for what cannot be read."""

    path: Path

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        prefix = prefix.strip("/")
        try:
            if not prefix:
                with self._folder(()) as folder:
                    return tuple(sorted(self._walk(folder, ""), key=_by_path))
            *parents, name = prefix.split("/")
            with self._folder(tuple(parents)) as folder:
                return tuple(sorted(self._below(folder, name, prefix), key=_by_path))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._unreadable(prefix, error) from error

    def read(self, path: str) -> bytes:
        *parents, name = path.split("/")
        try:
            with self._folder(tuple(parents)) as folder:
                return _content(folder, name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(path) from None
        except OSError as error:
            raise self._unreadable(path, error) from error

    @contextmanager
    def _folder(self, parts: tuple[str, ...]) -> Iterator[int]:
        """A descriptor of the folder at ``parts``; NotADirectoryError where a part is a link."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                _require_plain(part)
                below = os.open(part, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _walk(self, folder: int, prefix: str) -> Iterator[Entry]:
        for name in os.listdir(folder):
            if name != ".git":
                yield from self._below(folder, name, f"{prefix}{name}")

    def _below(self, folder: int, name: str, path: str) -> Iterator[Entry]:
        _require_plain(name)
        _require_text(path)
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            below = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield from self._walk(below, f"{path}/")
            finally:
                os.close(below)
        elif stat.S_ISLNK(mode):
            yield Entry(path, 0o120000, blob_id(_content(folder, name)))
        elif stat.S_ISREG(mode):
            yield Entry(path, 0o100755 if mode & 0o100 else 0o100644, blob_id(_content(folder, name)))

    def _unreadable(self, path: str, error: OSError) -> InventoryError:
        return InventoryError(
            f"{self.path / path} cannot be read: {error.strerror or error}", hint="give a folder and files you may read"
        )


def _content(folder: int, name: str) -> bytes:
    _require_plain(name)
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(mode):
        raise FileNotFoundError(name)
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise OSError(f"larger than {SIZE_LIMIT // 1024**2} MiB")
    return data


def _require_plain(part: str) -> None:
    """Raises FileNotFoundError for what would lead somewhere else: no tree has an entry of that name."""
    if part in ("", ".", "..", ".git") or "\0" in part:
        raise FileNotFoundError(part)


def _require_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InventoryError(f"the file name {path!r} is not UTF-8", hint="rename it") from None


def _by_path(entry: Entry) -> str:
    return entry.path
