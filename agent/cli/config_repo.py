"""The config repo of an administrator's command, and the inventories in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.domain.layout import INVENTORIES
from agent.domain.text import escaped
from agent.errors import UsageError

ELSEWHERE = "run it in a clone of the config repo, or say --repo FOLDER"
BEGIN = "`hostwright init DIR` makes a new one"


@dataclass(frozen=True, slots=True)
class ConfigRepo:
    """The values of ``--repo`` and ``--inventory``. ``folder`` None: the config repo around the current folder.
    ``inventory`` None: all inventories, or the only one."""

    folder: Path | None = None
    inventory: str | None = None

    @property
    def root(self) -> Path:
        """The folder that ``--repo`` names, else the nearest folder upwards that has ``inventories/``, else the current
        folder. Raises UsageError if it does not exist."""
        if self.folder is not None:
            if not self.folder.is_dir():
                raise UsageError(f"{self.folder} is not a folder")
            return self.folder
        try:
            here = Path.cwd()
        except FileNotFoundError as error:
            raise UsageError("the folder that you are in is gone", hint="cd to another one or say --repo") from error
        return next((folder for folder in (here, *here.parents) if _contains_inventories(folder)), here)

    def inventories(self, begin: str = BEGIN) -> list[str]:
        """The inventory that is named, else all. Raises UsageError if there is none, with ``begin`` in its hint."""
        names = [self.inventory] if self.inventory else inventory_names(self.root)
        if not names:
            raise UsageError(f"{self.root} has no inventories", hint=f"{ELSEWHERE}; {begin}")
        return names

    def one_inventory(self, begin: str = BEGIN) -> str:
        """The inventory that is named, else the only one. Raises UsageError if there are several, or none."""
        names = self.inventories(begin)
        if len(names) == 1:
            return names[0]
        raise UsageError(
            f"which inventory of {self.root}?", hint=f"say --inventory NAME; one of: {', '.join(map(escaped, names))}"
        )


def inventory_names(root: Path) -> list[str]:
    """The inventories of ``root``, sorted; none if this user may not look into it."""
    if not _contains_inventories(root):
        return []
    return sorted(entry.name for entry in (root / INVENTORIES).iterdir() if entry.is_dir())


def _contains_inventories(folder: Path) -> bool:
    try:
        return (folder / INVENTORIES).is_dir()
    except PermissionError:  # after `sudo -u` or `su` the current folder may belong to somebody else
        return False
