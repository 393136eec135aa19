"""The files of one inventory: looked up in the tree and read. Links are followed inside the tree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.domain.layout import INVENTORIES
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.stand_in import VAULT, stand_in
from agent.domain.tree import Entry, Tree, followed
from agent.errors import InventoryError
from agent.inventory.complaint import Complaints, nearest
from agent.problems import ProblemKind
from agent.system import yaml
from agent.system.document import Map, Node, Position, Scalar

HOSTS_FILES = ("hosts.yaml", "hosts.yml", "hosts.ini", "hosts")
FILES = (*HOSTS_FILES, "site.yaml", "fleet.yaml", "tools.yaml", "lock.yaml")
PEOPLE = ("trusted_signers", "admins")
FOLDERS = ("group_vars", "host_vars", "identities", "secrets")
"""The folders at the top of an inventory, beside ``FILES`` and ``PEOPLE``."""

COPY = ("nobody reads this copy", "remove it: Git keeps what was there before")

_FIRST = "write hosts.yaml and site.yaml into that folder"
_BACKUP = re.compile(r".+?(~|\.(bak|orig|old|save|swp|tmp|rej|disabled|dpkg-(old|new|dist))|\.\d+)")
_BESIDE = re.compile(r"\..*|(README|LICENSE|LICENCE|COPYING|NOTICE|CODEOWNERS|Makefile)(\..*)?|.*\.(md|rst|txt)")


@dataclass(slots=True)
class Source:
    """The files of one inventory. ``folder`` is ``inventories/<name>``; ``paths`` are all files below it."""

    tree: Tree
    folder: str
    paths: frozenset[str]

    def has(self, path: str) -> bool:
        return path in self.paths

    def entry(self, path: str) -> Entry:
        """The entry of ``path``, which must exist."""
        entry = self.tree.entry(f"{self.folder}/{path}")
        assert entry is not None
        return entry

    def position(self, path: str) -> Position:
        return Position(f"{self.folder}/{path}")

    def missing(self, path: str, what: str, remedy: str) -> tuple[str, str]:
        """Problem and remedy where the file ``path`` does not exist. ``what``: its name for people."""
        if path in self.tree.names(self.folder):
            return f"a {what} is expected here, and this is none", "put the file in its place"
        return f"there is no {what}", remedy

    def real(self, path: str) -> str | None:
        """The path in the tree after following links; None when a link leads out of the tree."""
        return followed(self.tree, f"{self.folder}/{path}")

    def below(self, path: str) -> tuple[str, ...]:
        """``path`` itself, or the files in the folder that it is a link to."""
        found = self.real(path) if self.entry(path).link else None
        files = self.tree.paths(found) if found is not None and self.tree.entry(found) is None else ()
        return tuple(f"{path}{file.removeprefix(found or '')}" for file in files) or (path,)

    def content(self, path: str, complaints: Complaints) -> bytes | None:
        """The bytes of ``path``, which must exist. None, after a complaint, for a link to nothing in the repository."""
        found = self.real(path)
        entry = self.tree.entry(found) if found is not None else None
        if found is None or entry is None:
            remedy = "put the file here, or link to one of the repository"
            complaints.add(self.position(path), (), "a link to nothing that is in the repository", remedy)
            return None
        content = self.tree.read(found)
        if (meant := stand_in(content)) is not None and meant is not VAULT:  # the reader of YAML says more of a vault
            complaints.add(self.position(path), (), f"this file {meant.what}", meant.remedy)
            return None
        if line := whole_conflict_line(content.decode(errors="replace")):
            complaints.add(Position(f"{self.folder}/{path}", line, 1), (), *MERGE_CONFLICT)
            return None
        return content

    def read(self, path: str, complaints: Complaints) -> Node | None:
        """The YAML of ``path``, which must exist; a null node for an empty file. None after a complaint."""
        content = self.content(path, complaints)
        if content is None:
            return None
        try:
            root = yaml.load(content, f"{self.folder}/{path}")
        except yaml.YamlError as error:
            complaints.take(error)
            return None
        return root if root is not None else Scalar(None, self.position(path))

    def mapping(self, path: str, complaints: Complaints, example: str) -> Map | None:
        """The mapping in a YAML file. None when the file is missing, empty or, after a complaint, something else.
        ``example``: what to write instead."""
        root = self.read(path, complaints) if self.has(path) else None
        if root is None or (isinstance(root, Scalar) and root.value is None):
            return None
        if not isinstance(root, Map):
            complaints.add(root.position, (), "a mapping is expected", example)
            return None
        return root


def is_backup(name: str) -> bool:
    """True if a file of this name is a backup, by the habits of editors and merges."""
    return _BACKUP.fullmatch(name) is not None


def is_expected_beside(name: str) -> bool:
    """True if a file of this name is for people, so that it may lie beside others though nothing reads it."""
    return _BESIDE.fullmatch(name) is not None


def open_source(tree: Tree, name: str) -> Source:
    """The files of the inventory called ``name``. Raises InventoryError when there is none of that name in ``tree``."""
    folder = f"{INVENTORIES}/{name}"
    is_name = bool(name) and "/" not in name and name not in (".", "..")
    paths = tree.paths(folder) if is_name else ()
    if is_name and not paths and (absence := tree.absence(folder)):
        raise InventoryError(f"{folder} {absence.why}", hint=absence.remedy, kind=ProblemKind.INVENTORY_UNKNOWN)
    if not paths:
        names = [found for found in tree.names(INVENTORIES) if tree.names(f"{INVENTORIES}/{found}")]
        remedy = nearest(name, names, otherwise=f"there are: {', '.join(names)}" if names else _FIRST)
        raise InventoryError(f"there is no inventory {folder}/", hint=remedy, kind=ProblemKind.INVENTORY_UNKNOWN)
    return Source(tree, folder, frozenset(path.removeprefix(f"{folder}/") for path in paths))
