"""Archives: a download turned into files below one folder, and nothing anywhere else.

``.tar`` (plain, ``.gz``, ``.xz``, ``.bz2``, ``.zst``), ``.zip``, and single files, plain or compressed; the file's name
says which. tarfile and zipfile only read: their own extraction writes through links that an archive brought
(CVE-2007-4559), and the filters against that are not in every Python 3.11. This module writes files, folders, and links
that stay inside the folder. They belong to the user who runs it, with mode 0755 or 0644.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from agent.domain.stand_in import fetched_stand_in
from agent.system import safe_open
from agent.system.archive_check import HONEST, ArchiveError, Content, Limits, Member, Type
from agent.system.archive_formats import CHUNK, reading
from agent.system.descriptor import FOLDER, opened

__all__ = ["HONEST", "ArchiveError", "Limits", "Member", "Type", "located", "members", "unpack"]


def members(archive: Path, name: str) -> tuple[Member, ...]:
    """The members of ``archive``, which is read to its end. ``name``: the file name under which it was published.

    A file that is no archive is one executable member, called ``name`` without the suffix of its compression. Raises
    ArchiveError, OSError.
    """
    with reading(archive, name, HONEST) as found:
        return tuple(_sized(member, content) for member, content in found)


def unpack(archive: Path, name: str, folder: Path, *, limits: Limits = HONEST) -> tuple[Member, ...]:
    """The members of ``archive``, written below the empty ``folder``; nothing is synced. Raises ArchiveError,
    UnsafePath (somebody put a link into ``folder`` meanwhile), OSError; then ``folder`` holds some of them."""
    with opened(folder, FOLDER | os.O_NOFOLLOW) as top, reading(archive, name, limits) as found:
        writer = _Writer(top)
        for member, content in found:
            writer.write(member, content)
        writer.write_links()
        return tuple(writer.written)


def located(wanted: str, found: Iterable[Member]) -> str | None:
    """The path in the archive that ``wanted`` means; None if there is none.

    It is ``wanted`` itself, else the only file, else ``wanted`` below the archive's only top folder: single binaries
    and top folders are often named after version and platform.
    """
    paths = {member.path for member in found if member.type is not Type.DIRECTORY}
    if wanted in paths:
        return wanted
    tops = {PurePosixPath(path).parts[0] for path in paths}
    if len(paths) == 1:
        return next(iter(paths))
    below = f"{next(iter(tops), '')}/{wanted}"
    return below if len(tops) == 1 and below in paths else None


def _sized(member: Member, content: Content | None) -> Member:
    """``member`` with its size in bytes and its stand-in. The content is read to its end, where its checksum stands."""
    size, meant = 0, None
    while content is not None and (chunk := content.read(CHUNK)):
        meant = meant if size else fetched_stand_in(chunk)
        size += len(chunk)
    return replace(member, size=size, stand_in=meant)


class _Writer:
    """The writing of members into the open folder ``top``, by descriptors, so that no link put there is followed."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._folders = {""}
        self._links: list[Member] = []
        self.written: list[Member] = []

    def write(self, member: Member, content: Content | None) -> None:
        if member.type is Type.DIRECTORY:
            self._make(member.path)
        elif member.type is Type.LINK:
            self._links.append(member)  # written last: until then no path can lead through a link
        else:
            with self._place(member.path) as (parent, name):
                if content is not None:
                    _write(parent, name, content, executable=member.executable)
                else:
                    with self._place(member.target) as (source, first):
                        os.link(first, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        self.written.append(member)

    def write_links(self) -> None:
        for link in self._links:
            with self._place(link.path) as (parent, name):
                os.symlink(link.target, name, dir_fd=parent)

    @contextmanager
    def _place(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that ``path`` lies in, made if it is missing, and the name in that folder."""
        above, _, name = path.rpartition("/")
        self._make(above)
        with safe_open.folder(self._top, above, root_links=False) as parent:
            yield parent, name

    def _make(self, path: str) -> None:
        if path in self._folders:
            return
        with self._place(path) as (parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)
            with opened(name, FOLDER | os.O_NOFOLLOW, at=parent) as made:
                os.fchmod(made, 0o755)
        self._folders.add(path)


def _write(parent: int, name: str, content: Content, *, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
        while chunk := content.read(CHUNK):
            file.write(chunk)
        os.fchmod(file.fileno(), 0o755 if executable else 0o644)
