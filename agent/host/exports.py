"""Exports: turns trusted commits into folders that deploys can read, and collects those nobody needs."""

from __future__ import annotations

from pathlib import Path

from agent.domain.commit import TrustedCommit
from agent.system.files import discard, make_private_folder
from agent.system.git import Mirror


class Exports:
    def __init__(self, folder: Path, mirror: Mirror) -> None:
        self._folder = folder
        self._mirror = mirror

    def folder(self, commit: TrustedCommit) -> Path:
        """The commit's files, exported when they are not here yet. The type is the wall: only what ``verify``
        vouched for is ever written out."""
        target = self._folder / commit.sha
        if not target.is_dir():
            make_private_folder(self._folder)
            self._mirror.export(commit.sha, target)
        return target

    def collect(self, needed: frozenset[str]) -> None:
        """Removes exports of commits other than ``needed``, and what an interrupted export left."""
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            if entry.name not in needed:
                discard(entry)
