"""Commands on a config repo, wherever it lies: a plain folder is enough. None of them needs root or a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent import wiring
from agent.cli.output import Output, json_text
from agent.domain.text import some
from agent.domain.tree import Tree
from agent.errors import HostwrightError, InventoryError, UsageError
from agent.inventory.complaint import Complaints, ComplaintsError
from agent.inventory.environment import Environment, load, read
from agent.inventory.people import complain_of_people
from agent.inventory.schema import schema as schema_of
from agent.inventory.source import open_source
from agent.steps.resolve import state_of
from agent.system.folder import FolderTree
from agent.system.working_copy import CommittedTree, WorkingCopy, working_copy
from agent.system.yaml import Position

INVENTORIES = "inventories"
NAMED_MOST = 5
"""Files that are named one by one; the others are counted."""


def check(output: Output, *, repo: Path | None, inventory: str | None) -> int:
    """Reads everything an inventory says, for every host. All complaints at once."""
    root, names = inventories(repo, inventory)
    copy = working_copy(root)
    complaints = Complaints()
    checked: dict[str, Any] = {}
    for line in unlike_the_commit(copy) if copy is not None else ():
        output.say(line)
    for name in names:
        try:
            checked[name] = _check(output, tree_of(root, copy), name)
        except ComplaintsError as error:
            complaints.take(error)
        except InventoryError as error:
            complaints.add(Position(f"{INVENTORIES}/{name}"), (), error.message, error.hint)
    for name, hosts in checked.items():
        output.show(f"{name}: {len(hosts)} host{'' if len(hosts) == 1 else 's'}, fine")
    complaints.raise_if_any()
    output.envelope("check", 0, checked)
    return 0


def tree_of(root: Path, copy: WorkingCopy | None) -> Tree:
    """What a host would get of the folder: what is tracked, as it lies there; all of it where there is no Git."""
    return FolderTree(root) if copy is None else CommittedTree(root, copy)


def unlike_the_commit(copy: WorkingCopy) -> Iterator[str]:
    """Where what is judged is not what a host has, or will not have."""
    if copy.uncommitted:
        yield f"not committed yet, judged as it lies here: {some(copy.uncommitted, NAMED_MOST)}"
    if copy.untracked:
        untracked = some(copy.untracked, NAMED_MOST)
        yield f"not added to Git and not judged, no host gets it: {untracked}; `git add` what belongs to it"
    if copy.submodules:
        yield f"submodules, which hosts do not fetch: {some(sorted(copy.submodules), NAMED_MOST)}"
    if copy.left_out:
        yield f"left out by hosts: {some(copy.left_out, NAMED_MOST)}"


def _check(output: Output, tree: Tree, name: str) -> dict[str, str | None]:
    """Each host's desired-state digest; None where that takes a repository that is not here. Raises ComplaintsError
    with what is wrong for all hosts and for single ones."""
    environment, complaints = read(tree, name, wiring.repositories_of_administrator(fetch=False).tree)
    unseen: dict[str, HostwrightError] = {}
    digests: dict[str, str | None] = {}
    for host, found in environment.each(complaints, unseen):
        state = state_of(environment, tree, found, host=host, commit="0" * 40) if found is not None else None
        digests[host] = state.digest if state is not None else None
    complain_of_people(open_source(tree, name), tuple(environment.inventory.hosts), complaints)
    complaints.raise_if_any()
    if environment.left_out:
        output.say(f"{name}: left out by hosts: {some(environment.left_out, NAMED_MOST)}")
    for line in unseen:
        output.say(f"{name}: {line} and was not looked at; hostwright lock fetches it")
    return digests


def inventory(
    output: Output, *, repo: Path | None, inventory: str | None, as_list: bool, host: str | None, pattern: str | None
) -> int:
    """With ``--list`` and ``--host`` stdout is what ansible-inventory prints, byte for byte the same JSON value."""
    if sum((as_list, host is not None, pattern is not None)) > 1:
        raise UsageError("--list, --host and --pattern exclude each other")
    environment = _load(repo, inventory)
    who = environment.inventory
    if as_list or host is not None:
        document = who.as_list() if host is None else who.as_host(host)
        output.show(json_text(document, indent=4, sort_keys=True))
        output.envelope("inventory", 0, document)
        return 0
    hosts = who.match(pattern or "all")
    for name in hosts:
        output.show(name)
    output.envelope("inventory", 0, list(hosts))
    return 0


def schema(output: Output, *, name: str) -> int:
    document = schema_of(name)
    output.show(json_text(document, indent=2))
    output.envelope("schema", 0, document)
    return 0


def inventories(repo: Path | None, inventory: str | None) -> tuple[Path, list[str]]:
    """The config repo that is meant, and its inventories or the one that is named. Raises UsageError for none."""
    root = _root(repo)
    names = [inventory] if inventory else inventory_names(root)
    if not names:
        raise UsageError(
            f"{root} has no inventories", hint="an inventory is a folder inventories/<name>/ with hosts.yaml"
        )
    return root, names


def choose(repo: Path | None, inventory: str | None) -> tuple[Path, str]:
    """The config repo that is meant, and the inventory in it."""
    root = _root(repo)
    return root, inventory or only_inventory(root)


def _load(repo: Path | None, inventory: str | None) -> Environment:
    root, name = choose(repo, inventory)
    return load(FolderTree(root), name)


def only_inventory(root: Path) -> str:
    """The inventory of ``root`` where there is just one; UsageError names the choices else."""
    names = inventory_names(root)
    if len(names) == 1:
        return names[0]
    if not names:
        hint = "run it in a clone of the config repo, or say --repo FOLDER; on a managed host root needs neither"
        raise UsageError(f"{root} has no inventories", hint=hint)
    raise UsageError(f"which inventory of {root}?", hint=f"say --inventory NAME; one of: {', '.join(names)}")


def inventory_names(root: Path) -> list[str]:
    if not _holds_inventories(root):
        return []
    return sorted(entry.name for entry in (root / INVENTORIES).iterdir() if entry.is_dir())


def _root(repo: Path | None) -> Path:
    """``--repo``, or the nearest folder upwards that has ``inventories/``."""
    if repo is not None:
        if not repo.is_dir():
            raise UsageError(f"{repo} is not a folder")
        return repo
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the folder that you are in is gone", hint="cd to another one or say --repo") from error
    return next((folder for folder in (here, *here.parents) if _holds_inventories(folder)), here)


def _holds_inventories(folder: Path) -> bool:
    try:
        return (folder / INVENTORIES).is_dir()
    except PermissionError:  # `sudo -u` and `su` leave people in folders of others
        return False
