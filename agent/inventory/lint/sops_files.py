"""Complaints about files that are named like those of SOPS and are not encrypted."""

from __future__ import annotations

from agent.domain.tree import Tree
from agent.inventory.ansible.sops_vars import IN_CLEAR
from agent.inventory.complaint import Complaints
from agent.system.sops import is_called_sops, lies_in_clear
from agent.system.yaml import Position


def complain_of_clear_sops_files(tree: Tree, complaints: Complaints) -> None:
    """Complain of each file of the repository, wherever it lies, that is named like one of SOPS and is in clear."""
    for path in filter(is_called_sops, tree.paths()):
        entry = tree.entry(path)
        if entry is not None and not entry.link and lies_in_clear(tree.read(path)):
            complaints.add(Position(path), (), *IN_CLEAR)
