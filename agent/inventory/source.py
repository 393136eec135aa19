"""The files of one inventory: looked up in the tree, read once, links refused."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.tree import Entry, Tree
from agent.errors import InventoryError
from agent.inventory.complaint import Complaints, nearest
from agent.system import yaml
from agent.system.yaml import Duplicates, Node, Position, Scalar

INVENTORIES = "inventories"


@dataclass(slots=True)
class Source:
    """``folder`` is ``inventories/<name>``; ``paths`` are those of everything below it, inside the folder."""

    tree: Tree
    folder: str
    paths: frozenset[str]

    def has(self, path: str) -> bool:
        return path in self.paths

    def entry(self, path: str) -> Entry:
        """The file at ``path``, which is there."""
        entry = self.tree.entry(f"{self.folder}/{path}")
        assert entry is not None
        return entry

    def position(self, path: str) -> Position:
        return Position(f"{self.folder}/{path}")

    def content(self, path: str, complaints: Complaints) -> bytes | None:
        """The bytes of a file that is there; None and a complaint for a link."""
        if self.entry(path).link:
            complaints.add(self.position(path), (), "a symbolic link, which is not followed", "put the file here")
            return None
        return self.tree.read(f"{self.folder}/{path}")

    def read(self, path: str, complaints: Complaints, *, duplicates: Duplicates = Duplicates.REFUSE) -> Node | None:
        """The YAML of a file that is there, a null for an empty one; None for one that was complained about."""
        content = self.content(path, complaints)
        if content is None:
            return None
        try:
            root = yaml.load(content, f"{self.folder}/{path}", duplicates=duplicates)
        except yaml.YamlError as error:
            complaints.take(error)
            return None
        return root if root is not None else Scalar(None, self.position(path))


def open_source(tree: Tree, name: str) -> Source:
    """The files of the inventory called ``name``. Raises InventoryError when there is none of that name."""
    folder = f"{INVENTORIES}/{name}"
    paths = tree.paths(folder) if name and "/" not in name and name not in (".", "..") else ()
    if not paths:
        names = [found for found in tree.names(INVENTORIES) if tree.names(f"{INVENTORIES}/{found}")]
        remedy = nearest(name, names, otherwise=f"there are: {', '.join(names)}" if names else "create it")
        raise InventoryError(f"there is no inventory {folder}/", hint=remedy, kind="inventory-unknown")
    return Source(tree, folder, frozenset(path.removeprefix(f"{folder}/") for path in paths))
