"""A config repo's files, wherever they lie: in a commit or in a plain folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from agent.domain.digest import JSON, digest_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path (relative, ``/`` between parts), Git's mode, Git's blob id (40 hex digits)."""

    path: str
    mode: int
    blob: str

    @property
    def executable(self) -> bool:
        return self.mode == 0o100755

    @property
    def link(self) -> bool:
        return self.mode == 0o120000


class Tree(Protocol):
    """Read-only view of the files of a config repo.

    Implemented by ``system.git.CommitTree`` and ``system.folder.FolderTree``. Neither follows a symbolic link:
    a link is an entry whose content is its target.
    """

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        """All files at or below ``prefix``, sorted by path."""
        ...

    def read(self, path: str) -> bytes:
        """The content of one file. Raises KeyError when there is none."""
        ...


def tree_digest(tree: Tree) -> str:
    """sha256 (64 hex digits) over all files of ``tree``: path, mode, and sha256 of the content."""
    files: list[JSON] = [
        [entry.path, entry.mode, hashlib.sha256(tree.read(entry.path)).hexdigest()] for entry in tree.entries()
    ]
    return digest_of(files)


def blob_id(content: bytes) -> str:
    """Git's name for this content (sha1 object format, gitformat-loose)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
