"""The few objects of a repository that each cycle reads, in files beside it: no process of git is started for them.

Each file is called like its object, and holds the bytes that git hashes: ``<type> SP <size> NUL <content>``. So it is
checked against its name when it is read, like an object of the repository.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from agent.system.files import make_private_folder, read_bounded, write_unsynced
from agent.system.misplaced import misplaced_folder

MOST: Final = 16
"""Objects: a commit, a tag, and the trees and files from the root to the trusted_signers of an inventory."""
BYTES: Final = 64 * 1024
"""The most bytes of one object."""


class RecentObjects:
    """The objects in ``folder``, which holds nothing else. An object that is missing or damaged here is read from the
    repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: dict[str, bytes] = {}
        self._many = False

    def find(self, sha: str) -> tuple[str, bytes] | None:
        """The type and the content of an object; None if it is not here or its file is damaged."""
        stored = self._asked.get(sha) or self._stored(sha)
        if stored is None:
            return None
        self._asked[sha] = stored
        head, _, content = stored.partition(b"\0")
        return os.fsdecode(head).partition(" ")[0], content

    def asked(self, sha: str, kind: str, content: bytes) -> None:
        """Note an object that was read from the repository."""
        self._many = self._many or len(content) > BYTES or len(self._asked) >= MOST
        if not self._many:
            self._asked[sha] = f"{kind} {len(content)}\0".encode() + content

    def keep(self) -> None:
        """Write the objects that were asked for since this was made to their files, and remove the other files. Nothing
        changes if there were more than MOST, or one larger than BYTES. Raises OSError."""
        here = {file.name for file in self._folder.iterdir()} if self._folder.is_dir() else set()
        if self._many or here == self._asked.keys():
            return
        make_private_folder(self._folder)
        for sha in self._asked.keys() - here:
            write_unsynced(self._folder / sha, self._asked[sha])
        for name in here - self._asked.keys():
            (self._folder / name).unlink()

    def _stored(self, sha: str) -> bytes | None:
        try:
            if misplaced_folder(self._folder):
                return None
            stored = read_bounded(self._folder / sha, BYTES + 64)
        except OSError:
            return None
        return stored if hashlib.sha1(stored, usedforsecurity=False).hexdigest() == sha else None
