"""Hints of `check`: probably mistakes, but no reason for a host to stop."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from agent.domain.layout import INVENTORIES
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.tree import Tree
from agent.inventory.complaint import Complaint, Complaints
from agent.inventory.lint.people import SIGNERS
from agent.inventory.site import SITE_FILE
from agent.inventory.source import HOSTS_FILES, Source
from agent.system import allowed_signers
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


def says_nothing(source: Source, known: Collection[str], *, plays: bool) -> Iterator[Complaint]:
    """A hint for each file of a sound inventory that holds no host, no play or no signer. ``known``: its hosts;
    ``plays``: True if it has any."""
    hosts = next((name for name in HOSTS_FILES if source.has(name)), HOSTS_FILES[0])
    signers = source.content(SIGNERS, Complaints()) if source.has(SIGNERS) else None
    if not known:
        remedy = "`hostwright enroll USER@HOST --as NAME --group GROUP` adds one"
        yield Complaint(source.position(hosts), "", "no hosts are in here", remedy)
    if not plays:
        yield Complaint(
            source.position(SITE_FILE), "", "no plays are in here", "begin with `- hosts: all` and `deploys:`"
        )
    if signers is not None and not allowed_signers.parse(signers):
        remedy = 'write a line `you@example.org namespaces="git" ssh-ed25519 …` for each person, or remove the file'
        yield Complaint(source.position(SIGNERS), "", "nobody is named here, so nobody can sign for hosts", remedy)
