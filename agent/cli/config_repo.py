"""The config repo that an administrator's command is about, and the inventories in it."""

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
    """What ``--repo`` and ``--inventory`` name. None: the folder around the current one; whatever is there."""

    folder: Path | None = None
    inventory: str | None = None

    @property
    def root(self) -> Path:
        """``--repo``, or the nearest folder upwards that has ``inventories/``. Raises UsageError."""
        if self.folder is not None:
            if not self.folder.is_dir():
                raise UsageError(f"{self.folder} is not a folder")
            return self.folder
        try:
            here = Path.cwd()
        except FileNotFoundError as error:
            raise UsageError("the folder that you are in is gone", hint="cd to another one or say --repo") from error
        return next((folder for folder in (here, *here.parents) if _holds_inventories(folder)), here)

    def inventories(self, begin: str = BEGIN) -> list[str]:
        """The inventory that is named, else all of them. Raises UsageError where there is none; ``begin`` is what to do
        then."""
        names = [self.inventory] if self.inventory else inventory_names(self.root)
        if not names:
            raise UsageError(f"{self.root} has no inventories", hint=f"{ELSEWHERE}; {begin}")
        return names

    def one_inventory(self, begin: str = BEGIN) -> str:
        """The inventory that is named, else the only one. Raises UsageError with the choices, or as ``inventories``."""
        names = self.inventories(begin)
        if len(names) == 1:
            return names[0]
        raise UsageError(
            f"which inventory of {self.root}?", hint=f"say --inventory NAME; one of: {', '.join(map(escaped, names))}"
        )


def inventory_names(root: Path) -> list[str]:
    """The inventories of ``root``, sorted; none where it cannot be looked into."""
    if not _holds_inventories(root):
        return []
    return sorted(entry.name for entry in (root / INVENTORIES).iterdir() if entry.is_dir())


def _holds_inventories(folder: Path) -> bool:
    try:
        return (folder / INVENTORIES).is_dir()
    except PermissionError:  # `sudo -u` and `su` leave people in folders of others
        return False
