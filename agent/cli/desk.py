"""Where an administrator stands: a clone of the config repo, and one inventory in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.cli.commands.check import tree_of
from agent.cli.config_repo import ELSEWHERE, ConfigRepo
from agent.domain.layout import INVENTORIES
from agent.domain.text import printable, some
from agent.domain.tree import Tree
from agent.errors import SettingsError, UsageError
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.complaint import nearest
from agent.inventory.load import load
from agent.inventory.lock import Lock
from agent.system import own_git
from agent.system.working_copy import WorkingCopy, working_copy


@dataclass(frozen=True, slots=True)
class Desk:
    """``tree``: the files of the next commit as they lie there. ``status_remote``: as fleet.yaml says it."""

    root: Path
    copy: WorkingCopy
    tree: Tree
    inventory: str
    who: Inventory
    lock: Lock
    status_remote: str

    @property
    def folder(self) -> str:
        return f"{INVENTORIES}/{self.inventory}"

    def require_host(self, host: str) -> None:
        """Raise UsageError unless ``host`` is in the inventory."""
        if host not in self.who.hosts:
            raise UsageError(
                f"{printable(host)} is not in {self.folder}",
                hint=nearest(host, self.who.hosts, otherwise="hostwright inventory --pattern all"),
            )

    def require_committable(self) -> None:
        """Raise SettingsError where a commit of what a command writes would not be what the command has judged: it
        judges the files as they lie here. Identities may lie here uncommitted: they are what `enroll` leaves."""
        own_git.require_pushed(self.root)
        identities = f"{self.folder}/identities/"
        if changed := [path for path in self.copy.uncommitted if not path.startswith(identities)]:
            raise SettingsError(
                f"not committed yet: {printable(some(changed))}",
                hint="commit and push, or `git stash`; then run this again",
            )


def desk_of(repo: ConfigRepo) -> Desk:
    """Raises UsageError unless it is the top of a working copy, and InventoryError for what `check` complains about."""
    root, inventory = repo.root, repo.one_inventory()
    copy = working_copy(root)
    if copy is None:
        raise UsageError(f"{root} is no Git repository", hint=ELSEWHERE)
    if copy.checkout.top != root.resolve():
        raise UsageError(f"{root} is not the top of a Git working copy", hint="hosts read the inventories at its top")
    tree = tree_of(root, copy)
    environment = load(tree, inventory)
    status_remote = environment.fleet.status.remote
    return Desk(root, copy, tree, inventory, environment.inventory, environment.lock, status_remote)
