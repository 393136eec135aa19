"""A batch: changes in folders that share their syncs.

New files lie under temporary names until the end. Then their content is synced, once for all of them; each gets its
name; the folders are synced, once. So a file is old or new at any moment, and what a batch has finished is on the disk.
Folders, links, attributes and removals are made at once, in the order of the calls, and are on the disk at the end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent.system import obstacle
from agent.system.files import sync_file_system

FEW = 50
"""The most files that are synced one by one. For more, syncing a whole file system is quicker, although that waits for
whatever else the host is writing."""


@dataclass(slots=True)
class NewFile:
    """A file under a ``temporary`` name in an open folder. ``put`` gives it its name. ``descriptor``: the file's own;
    None where there are too many to keep each open. ``work``: the number of the work that asked for it."""

    folder: int
    temporary: str
    name: str
    put: Callable[[], object]
    descriptor: int | None
    work: int = 0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A failure at the end of a batch: a file that did not get its name, or changes that may not be on the disk.
    ``work``: the number of the work that asked for it. ``hint``: the way out, where one is known."""

    work: int
    error: OSError
    reason: str
    hint: str = ""


class WriteBatch:
    """The writes that are finished together. The end of the context removes new files that have not got their names.
    ``work``: the number of the work that is being done; the caller sets it."""

    def __init__(self) -> None:
        self.work = 0
        self._new: list[NewFile] = []
        self._kept: dict[tuple[int, int], int] = {}
        """Descriptors of what is synced at the end, by device and inode."""
        self._tidied: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        for new in self._new:
            _let_go(new)
            with contextlib.suppress(OSError):
                os.unlink(new.temporary, dir_fd=new.folder)
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._new, self._kept = [], {}

    def folder(self, parent: int) -> int:
        """A descriptor of the open folder ``parent``, in which something changes. It stays open as long as the batch,
        which syncs it at the end."""
        key = _key(parent)
        if key not in self._kept:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self._kept[key] = os.open(".", flags, dir_fd=parent)
        return self._kept[key]

    def changed(self, descriptor: int) -> None:
        """Note that an open file or folder got other attributes, to sync it at the end. Above FEW the file systems are
        synced, and one descriptor of each is enough: a process may have 1,024 open."""
        key = _key(descriptor)
        if key not in self._kept and (len(self._kept) <= FEW or key[0] not in {device for device, _ in self._kept}):
            self._kept[key] = os.dup(descriptor)

    def comes_first(self, parent: int) -> bool:
        """True on the first call for this folder."""
        key = _key(parent)
        first = key not in self._tidied
        self._tidied.add(key)
        return first

    def add(self, new: NewFile) -> None:
        """Take over a new file, to give it its name at the end. The batch closes its descriptor."""
        new.work = self.work
        self._new.append(new)
        if len(self._new) > FEW:
            for each in self._new if len(self._new) == FEW + 1 else (new,):
                _let_go(each)

    def finish(self) -> list[Unfinished]:
        """Put all new files in place, and all changes on the disk. Returns the failures."""
        failed: list[Unfinished] = []
        waiting, out_of_place = self._new, []
        try:
            _sync([new.descriptor for new in waiting], {os.fstat(new.folder).st_dev: new.folder for new in waiting})
        except OSError as error:
            failed = [Unfinished(new.work, error, f"{error.strerror}") for new in waiting]
            waiting, out_of_place = [], waiting
        for new in waiting:
            _let_go(new)
            try:
                new.put()
            except OSError as error:
                failed.append(Unfinished(new.work, error, *obstacle.explained(error, new.folder, new.name)))
                out_of_place.append(new)
        self._new = out_of_place
        try:
            _sync(self._kept.values(), {device: descriptor for (device, _), descriptor in self._kept.items()})
        except OSError as error:
            failed = [Unfinished(work, error, f"{error.strerror}") for work in range(self.work + 1)]
        return failed


def _key(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _let_go(new: NewFile) -> None:
    if new.descriptor is not None:
        os.close(new.descriptor)
        new.descriptor = None


def _sync(descriptors: Iterable[int | None], by_device: Mapping[int, int]) -> None:
    """Sync the ``descriptors`` one by one if none is None and they are no more than FEW; otherwise the file systems
    that they are on, each by its descriptor in ``by_device``."""
    found = list(descriptors)
    one_by_one = [each for each in found if each is not None]
    if len(one_by_one) == len(found) <= FEW:
        for descriptor in one_by_one:
            os.fsync(descriptor)
    else:
        for descriptor in by_device.values():
            sync_file_system(descriptor)
