"""The files of a config repo in a plain folder, which commands read on an administrator's machine, with Git or without.

Only files that are asked for are read, each once: other files in the folder cost nothing and may be unreadable. No link
is followed, neither as a file nor on the way to one: as in Git, a link is an entry whose content is its target.
Everything is opened through descriptors of folders that were checked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from agent.domain.stand_in import StandIn
from agent.domain.tree import Entry, Tree, blob_id
from agent.errors import InventoryError

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes of one file; larger ones do not belong into a config repo."""

T = TypeVar("T")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderTree(Tree):
    """The files of a folder without its ``.git``. Methods raise InventoryError for a file that cannot be read.

    An answer that was given once stays the same as long as this object lives.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, Entry | None] = {}
        self._below_prefix: dict[str, tuple[Entry, ...]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._stand_ins: dict[str, StandIn | None] = {}

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        if prefix not in self._below_prefix:
            found = (self.entry(path) for path in self.paths(prefix))
            self._below_prefix[prefix] = tuple(entry for entry in found if entry is not None)
        return self._below_prefix[prefix]

    def paths(self, prefix: str = "") -> tuple[str, ...]:
        prefix = prefix.strip("/")
        if prefix not in self._paths:
            self._paths[prefix] = tuple(sorted(self._below(prefix)))
        return self._paths[prefix]

    def names(self, folder: str = "") -> tuple[str, ...]:
        try:
            with self._folder(tuple(filter(None, folder.split("/")))) as descriptor, os.scandir(descriptor) as entries:
                return tuple(sorted(entry.name for entry in entries if entry.name != ".git"))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._unreadable(folder, error) from error

    def entry(self, path: str) -> Entry | None:
        if path not in self._entries:
            self._entries[path] = self._at(path, lambda folder, name: _entry(folder, name, path))
        return self._entries[path]

    def read(self, path: str) -> bytes:
        content = self._at(path, _content)
        if content is None:
            raise KeyError(path)
        return content

    def stand_in(self, entry: Entry) -> StandIn | None:
        if entry.path not in self._stand_ins:
            self._stand_ins[entry.path] = super().stand_in(entry)
        return self._stand_ins[entry.path]

    def _at(self, path: str, look: Callable[[int, str], T]) -> T | None:
        """The result of ``look``, which gets a descriptor of the folder of ``path`` and the name in it; None if nothing
        is there. Raises InventoryError."""
        *parents, name = path.split("/")
        try:
            with self._folder(tuple(parents)) as folder:
                _require_plain(name)
                return look(folder, name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error

    @contextmanager
    def _folder(self, parts: tuple[str, ...]) -> Iterator[int]:
        """A descriptor of the folder at ``parts``. Raises OSError, NotADirectoryError if a part is a link."""
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

    def _below(self, prefix: str) -> Iterator[str]:
        """The paths of all files at or below ``prefix``."""
        *parents, name = prefix.split("/") if prefix else [""]
        where = prefix
        try:
            with self._folder(tuple(parents)) as folder:
                if not prefix:
                    yield from self._walk(folder, "")
                else:
                    _require_plain(name)
                    yield from self._found(folder, name, prefix)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._unreadable(f"{error.filename or where}", error) from error

    def _walk(self, folder: int, prefix: str) -> Iterator[str]:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name != ".git"]
        for name in names:
            yield from self._found(folder, name, f"{prefix}{name}")

    def _found(self, folder: int, name: str, path: str) -> Iterator[str]:
        _require_text(path)
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except OSError as error:
                raise self._unreadable(path, error) from error
            try:
                yield from self._walk(below, f"{path}/")
            finally:
                os.close(below)
        elif stat.S_ISLNK(mode) or stat.S_ISREG(mode):
            yield path

    def _unreadable(self, path: str, error: OSError) -> InventoryError:
        return InventoryError(
            f"{path or self.path} cannot be read: {error.strerror or error}", hint="give yourself the right to read it"
        )


def _entry(folder: int, name: str, path: str) -> Entry | None:
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    content = _content(folder, name)
    if content is None:
        return None
    if stat.S_ISLNK(mode):
        return Entry(path, 0o120000, blob_id(content))
    return Entry(path, 0o100755 if mode & 0o100 else 0o100644, blob_id(content))


def _content(folder: int, name: str) -> bytes | None:
    """The content of a file, or the target of a link; None for anything else. Raises OSError, also for a file larger
    than SIZE_LIMIT."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(mode):
        return None
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        # Not read(SIZE_LIMIT + 1): that takes so much memory for the smallest file, more than a template may have.
        data = file.read() if os.fstat(file.fileno()).st_size <= SIZE_LIMIT else None
    if data is None or len(data) > SIZE_LIMIT:
        raise OSError(f"larger than {SIZE_LIMIT // 1024**2} MiB")
    return data


def _require_plain(part: str) -> None:
    """Raise FileNotFoundError if ``part`` would lead out of its folder or into ``.git``: no tree has such an entry."""
    if part in ("", ".", "..", ".git") or "\0" in part:
        raise FileNotFoundError(part)


def _require_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InventoryError(f"the file name {path!r} is not UTF-8", hint="rename it") from None
