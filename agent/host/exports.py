"""The exports: folders with the files of trusted commits, which deploys read.

An export is compared with its commit, file by file, until it has not changed for two seconds. From then on it is
believed (``host.believed``) until anything in it is touched.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from agent.domain.commit import TrustedCommit
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.host.believed import SEEN, is_believed, is_intact
from agent.system.files import discard, make_private_folder
from agent.system.folder import FolderTree
from agent.system.mirror import Mirror
from agent.system.misplaced import misplaced_folder

_log = logging.getLogger(__name__)


class Exports:
    """The exports below ``folder``. ``scratch``: None for the holder of the lock. A process without the lock gives a
    folder of its own: it uses an export below ``folder`` that is believed, and keeps that from being collected. All
    others it exports to ``scratch``."""

    def __init__(self, folder: Path, mirror: Mirror, *, scratch: Path | None = None) -> None:
        self._folder = folder
        self._mirror = mirror
        self._scratch = scratch
        self._checked: dict[str, Path] = {}

    def folder(self, commit: TrustedCommit) -> Path:
        """The folder with the commit's files. They are exported if they are not there, or differ from the commit. The
        type of the argument makes sure that no commit is exported which ``verify`` did not vouch for."""
        sha = commit.sha
        if sha not in self._checked:
            there = self._folder / sha
            if self._scratch is None:
                self._ensure(sha, there)
            elif not (_use(there) and is_believed(there)):
                there = self._scratch / sha
                make_private_folder(self._scratch)
                self._mirror.export(sha, there)
            self._checked[sha] = there
        return self._checked[sha]

    def tree(self, sha: str) -> Tree:
        """The files of a trusted commit, to be read now. They are those of the export, if it is believed, which spares
        a call of git; else those in the mirror."""
        there = self._folder / sha
        return FolderTree(there) if is_believed(there) else self._mirror.tree(sha)

    def collect(self, needed: frozenset[str]) -> None:
        """Remove the exports of all commits but ``needed``, and what an interrupted export left. An export that another
        process uses stays."""
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            if entry.name.removesuffix(SEEN) not in needed and not _used(entry):
                discard(entry)

    def _ensure(self, sha: str, target: Path) -> None:
        if is_intact(target, lambda: self._matches(sha, target)):
            return
        make_private_folder(self._folder)
        if os.path.lexists(target):
            _log.warning("%s is not what the commit holds; it is exported anew", target)
            discard(target)
        self._mirror.export(sha, target)

    def _matches(self, sha: str, target: Path) -> bool:
        """True if the folder holds each file of the commit with its content, and no other file. Links are not
        followed."""
        if misplaced_folder(target) or not target.is_dir():
            return False
        try:
            return FolderTree(target).entries() == self._mirror.tree(sha).inside()
        except InventoryError:
            return False


def _use(folder: Path) -> bool:
    """Keep ``folder`` from being collected as long as this process lives. Return False if it is not there."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _used(entry: Path) -> bool:
    """True if a process uses the folder now."""
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # it is no folder, so that no process can use it
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
