"""The desk of an administrator: a clone of the config repo, and one inventory in it. A command first checks its changes
there as a whole, then writes and commits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.cli.config_repo import ELSEWHERE, ConfigRepo
from agent.cli.output import Output
from agent.domain.layout import INVENTORIES
from agent.domain.text import printable, some
from agent.domain.tree import EditedTree, Tree
from agent.errors import InventoryError, SettingsError, UsageError
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.complaint import nearest
from agent.inventory.load import load
from agent.inventory.lock import Lock
from agent.system import own_git
from agent.system.files import write_atomic
from agent.system.folder import FolderTree
from agent.system.working_copy import CommittedTree, WorkingCopy, working_copy


@dataclass(frozen=True, slots=True)
class Desk:
    """A clone and one inventory in it. ``tree``: the files of the next commit, as they are now. ``who``: the hosts of
    the inventory. ``status_remote``: the value in fleet.yaml, a URL or ``same``."""

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
        """Raise SettingsError if a commit of a command's changes would hold other files than the command has checked:
        it checks all files of the clone as they are now. Identities may be uncommitted, because `enroll` leaves them
        so."""
        own_git.require_pushed(self.root)
        identities = f"{self.folder}/identities/"
        if changed := [path for path in self.copy.uncommitted if not path.startswith(identities)]:
            raise SettingsError(
                f"not committed yet: {printable(some(changed))}",
                hint="commit and push, or `git stash`; then run this again",
            )


def desk_of(repo: ConfigRepo) -> Desk:
    """The desk of ``repo``. Raises UsageError unless that is the top of a working copy, InventoryError if `check` would
    complain about the inventory."""
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


def tree_of(root: Path, copy: WorkingCopy | None) -> Tree:
    """The files of the folder that a host would get, as they are now: the tracked ones, or without Git all."""
    return FolderTree(root) if copy is None else CommittedTree(root, copy)


def unlike_the_commit(copy: WorkingCopy) -> Iterator[str]:
    """A line for each way in which the folder differs from what hosts get."""
    if copy.uncommitted:
        yield f"not committed yet, judged as it lies here: {some(copy.uncommitted)}"
    if untracked := [path for path in copy.untracked if not path.startswith(".")]:  # a person's own: hidden at the top
        told = some(untracked)
        yield f"not added to Git and not judged, no host gets it: {told}; `git add` what belongs to it"
    if copy.submodules:
        yield f"submodules, which hosts do not fetch: {some(sorted(copy.submodules))}"
    if copy.left_out:
        yield f"left out by hosts: {some(copy.left_out)}"


def commit_or_tell(output: Output, desk: Desk, subject: str, changed: Sequence[str], *, commit: bool) -> None:
    """Commit and push the paths ``changed``, or without ``commit`` tell the person to do so. Raises SettingsError."""
    if changed and commit:
        output.say(f"committed and pushed {own_git.commit_and_push(desk.root, subject, *changed)[:12]}")
    elif changed:
        output.say(f"commit and push: {', '.join(changed)}")


@dataclass(frozen=True, slots=True)
class Draft:
    """New contents for files of a clone, not written yet. ``files``: contents by path from the top of the clone; None
    removes the file."""

    desk: Desk
    files: Mapping[str, bytes | None]

    def require_sound(self) -> None:
        """Raise InventoryError if the inventory would have a complaint with this draft."""
        try:
            load(EditedTree(self.desk.tree, self.files), self.desk.inventory)
        except InventoryError as error:
            raise InventoryError(
                f"nothing was done, for the inventory could not be read then:\n{error.message}", hint=error.hint
            ) from error

    def write(self) -> list[str]:
        """Write and remove the files. Return the paths that a commit has to name."""
        root, changed = self.desk.root, list[str]()
        for path, content in self.files.items():
            file = root / path
            if content is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, content, mode=0o644)
                changed.append(path)
                continue
            with suppress(FileNotFoundError):
                file.unlink()
                changed += [path] if path in self.desk.copy.tracked else []
            for folder in list(file.relative_to(root / self.desk.folder).parents)[:-1]:
                with suppress(OSError):  # something else is in it
                    (root / self.desk.folder / folder).rmdir()
        return changed
