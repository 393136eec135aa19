"""Hints of `check`: probably mistakes, but no reason for a host to stop."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from agent.domain.layout import INVENTORIES
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.tree import Tree
from agent.inventory.complaint import Complaint
from agent.system.yaml import Position

_FOLDERS = {
    INVENTORIES: INVENTORIES,
    "inventory": INVENTORIES,
    "dotfiles": "dotfiles",
    "dotfile": "dotfiles",
    "deploys": "deploys",
    "deploy": "deploys",
    "policies": "policies",
    "policy": "policies",
}
"""Folders at the top of a config repo, each also by its singular."""

_CLOSE = 0.85
"""How alike two names are that are taken for one: `dotfles` is dotfiles, `files` is not (difflib's ratio)."""


def hints(tree: Tree) -> Iterator[Complaint]:
    """A complaint about each folder whose name is nearly one that hosts read, and for each file of ``dotfiles/`` and
    ``deploys/`` in which a merge conflict was left."""
    for name in tree.names():
        near = difflib.get_close_matches(name.lower().strip("._-"), _FOLDERS, n=1, cutoff=_CLOSE)
        if near and name not in _FOLDERS.values() and tree.entry(name) is None:
            yield Complaint(
                Position(f"{name}/"), "", "nobody reads this folder", f'did you mean "{_FOLDERS[near[0]]}"?'
            )
    problem, remedy = MERGE_CONFLICT
    for entry in (entry for folder in ("dotfiles", "deploys") for entry in tree.entries(folder) if not entry.link):
        if line := whole_conflict_line(tree.read(entry.path).decode(errors="replace")):
            yield Complaint(Position(entry.path, line, 1), "", problem, remedy)
