"""The few objects of a repository that each cycle asks for, beside it: no process of git is started for them.

Each is a file called like the object, with what git hashes: ``<type> SP <size> NUL <content>``. So each is checked
against its name when it is read, as one out of the repository is.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from agent.system.files import make_private_folder, read_bounded, write_unsynced
from agent.system.misplaced import misplaced_folder

MOST: Final = 16
"""Objects: a commit, a tag, and the way from its root to the trusted_signers of an inventory."""
BYTES: Final = 64 * 1024
"""Of one object."""


class RecentObjects:
    """``folder``: of their own. Methods raise nothing: what is not here is in the repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: dict[str, bytes] = {}
        self._many = False

    def find(self, sha: str) -> tuple[str, bytes] | None:
        """Type and content of an object, if it is here as it should be."""
        stored = self._asked.get(sha) or self._stored(sha)
        if stored is None:
            return None
        self._asked[sha] = stored
        head, _, content = stored.partition(b"\0")
        return os.fsdecode(head).partition(" ")[0], content

    def asked(self, sha: str, kind: str, content: bytes) -> None:
        """Notes what the repository gave."""
        self._many = self._many or len(content) > BYTES or len(self._asked) >= MOST
        if not self._many:
            self._asked[sha] = f"{kind} {len(content)}\0".encode() + content

    def keep(self) -> None:
        """Keeps what was asked for since this object was made, unless that was more than a few, and nothing else.
        Raises OSError."""
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
