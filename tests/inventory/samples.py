"""A config repo in a folder, written in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from agent.errors import InventoryError
from agent.inventory.ansible.inventory import Inventory, read_inventory
from agent.inventory.complaint import Complaints
from agent.inventory.environment import Environment
from agent.inventory.load import load, read
from agent.inventory.source import open_source
from agent.system.folder import FolderTree

NAME = "demo"


class Repo:
    """``write`` takes paths inside ``inventories/demo/``, or, with a leading slash, inside the repo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inventory_folder = root / "inventories" / NAME
        self.inventory_folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path[1:] if path.startswith("/") else self.inventory_folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    def write_all(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            self.write(path, text)

    @property
    def tree(self) -> FolderTree:
        return FolderTree(self.root)

    def load(self) -> Environment:
        return load(self.tree, NAME)

    def inventory(self) -> Inventory:
        """Hosts and variables alone. Raises InventoryError with every complaint."""
        complaints = Complaints()
        inventory = read_inventory(open_source(self.tree, NAME), complaints)
        complaints.raise_if_any()
        return inventory

    def complaints(self, host: str | None = None) -> list[str]:
        """What loading, or the deploys of ``host``, is refused with, one line each, files without their folder."""
        with pytest.raises(InventoryError) as caught:
            self._read(host)
        return caught.value.message.replace(f"inventories/{NAME}/", "").splitlines()

    def _read(self, host: str | None) -> None:
        if host is not None:
            self.load().deploys(host)
            return
        environment, complaints = read(self.tree, NAME)
        for _ in environment.each(complaints):
            pass
        complaints.raise_if_any()


def checked(environment: Environment) -> tuple[str, ...]:
    """What `check` could not look at, a line each. Raises InventoryError with every complaint about any host."""
    complaints = Complaints()
    for _ in environment.each(complaints):
        pass
    complaints.raise_if_any()
    return tuple(complaints.unseen)
