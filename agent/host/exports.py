"""Exports: turns trusted commits into folders that deploys can read, and collects those nobody needs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from agent.domain.commit import TrustedCommit
from agent.errors import InventoryError
from agent.system.files import discard, make_private_folder
from agent.system.folder import FolderTree
from agent.system.git import Mirror
from agent.system.misplaced import misplaced_folder

_log = logging.getLogger(__name__)


class Exports:
    def __init__(self, folder: Path, mirror: Mirror) -> None:
        self._folder = folder
        self._mirror = mirror
        self._checked: set[str] = set()

    def folder(self, commit: TrustedCommit) -> Path:
        """The commit's files: exported when they are not here yet, and anew when what is here is anything else. The
        type is the wall: only what ``verify`` vouched for is ever written out."""
        target = self._folder / commit.sha
        if commit.sha not in self._checked and not self._holds(commit.sha, target):
            make_private_folder(self._folder)
            if os.path.lexists(target):
                _log.warning("%s is not what the commit holds; it is exported anew", target)
                discard(target)
            self._mirror.export(commit.sha, target)
        self._checked.add(commit.sha)
        return target

    def collect(self, needed: frozenset[str]) -> None:
        """Removes exports of commits other than ``needed``, and what an interrupted export left."""
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            if entry.name not in needed:
                discard(entry)

    def _holds(self, sha: str, target: Path) -> bool:
        """True if each file of the commit is there with its content, and no other. No link is followed."""
        if misplaced_folder(target) or not target.is_dir():
            return False
        try:
            return FolderTree(target).entries() == self._mirror.inside(sha)
        except InventoryError:
            return False
