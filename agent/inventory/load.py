"""The reader of an inventory of a config repo: all its files, and every complaint that concerns all hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agent.domain.fault import KeyPath
from agent.domain.tree import Tree
from agent.host.identity import admitted
from agent.inventory.ansible.inventory import Inventory, complain_of_unread, read_inventory
from agent.inventory.arguments import read_constants
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.environment import Environment
from agent.inventory.fleet import Fleet, read_fleet_file
from agent.inventory.lint.deploy_files import require_python
from agent.inventory.lock import Lock, read_lock
from agent.inventory.other_repositories import OtherRepositories, ReadRepository, not_fetched
from agent.inventory.recipients import read_recipients
from agent.inventory.site import Play, read_site
from agent.inventory.source import (
    COPY,
    FILES,
    FOLDERS,
    HOSTS_FILES,
    PEOPLE,
    Source,
    is_backup,
    is_expected_beside,
    open_source,
)
from agent.inventory.tools import read_tools
from agent.system.document import List, Map, Node, Scalar, locate

_INVENTORY_SUFFIXES = (".yaml", ".yml", ".ini")
_NAMES = {"identities": "<host>.pub", "secrets": "<group or host>/<name>.age"}
"""Folders, and the names of the files in them. (The readers of variables look after theirs.)"""


def load(tree: Tree, name: str, repositories: ReadRepository = not_fetched, *, locked: bool = True) -> Environment:
    """The inventory ``name`` of a config repo. ``locked``: False when lock.yaml is about to be written.

    Raises InventoryError with every complaint that concerns all hosts: about hosts, groups, site, fleet, tools and
    lock; of kind ``inventory-unknown`` when there is no such folder.
    """
    environment, complaints = read(tree, name, repositories, locked=locked)
    complaints.raise_if_any()
    return environment


def read(
    tree: Tree, name: str, repositories: ReadRepository = not_fetched, *, locked: bool = True
) -> tuple[Environment, Complaints]:
    """The inventory as far as it can be read, and the complaints about it."""
    source = open_source(tree, name)
    complaints = Complaints()
    inventory = read_inventory(source, complaints)
    plays = tuple(_sound(play, complaints) for play in read_site(source, inventory, complaints))
    require_python(tree, plays, complaints)
    of_fleet = Complaints()
    fleet, root = read_fleet_file(source, of_fleet)
    complaints.include(of_fleet)
    if root is not None:
        _check_hosts(root, inventory, complaints)
        _check_windows(fleet, root, complaints)
    pinned = Complaints()
    tools = read_tools(source, pinned)
    lock = read_lock(source, pinned) if locked else Lock()
    complaints.include(pinned)
    complain_of_unread(source, inventory, complaints)
    _complain_of_strays(source, complaints)
    recipients = read_recipients(source, inventory.hosts, admitted(tree, name)[0], complaints)
    environment = Environment(
        tree,
        name,
        inventory,
        plays,
        fleet,
        tools,
        lock,
        OtherRepositories(repositories),
        recipients,
        pinned=not pinned,
        fleet_read=not of_fleet,
    )
    if inventory.complete:
        environment.secrets.complain(complaints)
    return environment, complaints


def _sound(play: Play, complaints: Complaints) -> Play:
    """``play`` without the deploys that are wrong for every host; ``broken`` has their names."""
    read = [(mention.name, read_constants(mention, complaints)) for mention in play.mentions]
    sound = tuple(mention for _, mention in read if mention is not None)
    return replace(play, mentions=sound, broken=play.broken | {name for name, mention in read if mention is None})


def _check_windows(fleet: Fleet, root: Node, complaints: Complaints) -> None:
    """Complain of windows that are too short for the longest deploy and the settling after it."""
    budget = fleet.schedule.deploy_timeout + fleet.schedule.settle
    for index, window in enumerate(fleet.windows):
        if window.for_ < budget:
            path = ("windows", index, "for")
            complaints.add(
                locate(root, path),
                path,
                f"nothing would ever begin: a change needs {budget} s (schedule.deploy_timeout + schedule.settle)",
                f"write {-(-budget // 60)}m or more, or lower schedule.deploy_timeout",
            )


def _check_hosts(root: Node, inventory: Inventory, complaints: Complaints) -> None:
    """Complain of patterns in fleet.yaml with unknown names, also where other values are wrong. Such a suspension would
    suspend nobody."""
    for path, hosts in _patterns(root):
        position = locate(root, path)
        with complaints.of(position, path):
            inventory.match(hosts)
            for fault in inventory.unknown_names(hosts):
                complaints.add(position, path, fault.problem, fault.remedy)


def _patterns(root: Node) -> Iterator[tuple[KeyPath, str]]:
    """The host patterns in fleet.yaml by their key paths."""
    for key in ("suspend", "windows", "reboot"):
        said = root.values.get(key) if isinstance(root, Map) else None
        items = enumerate(said.items) if isinstance(said, List) else ()
        for path, entry in (((key,), said), *(((key, index), item) for index, item in items)):
            hosts = entry.values.get("hosts") if isinstance(entry, Map) else None
            if isinstance(hosts, Scalar) and isinstance(hosts.value, str) and hosts.value:
                yield (*path, "hosts"), hosts.value


def _complain_of_strays(source: Source, complaints: Complaints) -> None:
    """Complain of files in the inventory's folder that nobody reads. A name that is nearly right would have no effect,
    and nobody would notice. Files for people are left alone: hidden files, README, Markdown, licences."""
    known = (*FILES, *PEOPLE, *FOLDERS)
    for name in source.tree.names(source.folder):
        if name not in known and not is_expected_beside(name) and (said := _stray(source, name)) is not None:
            complaints.add(source.position(name), (), *said)
        elif name in (*FILES, *PEOPLE) and not source.has(name) and name not in ("site.yaml", *HOSTS_FILES):
            complaints.add(source.position(name), (), *source.missing(name, "file", ""))
        elif name in _NAMES and source.has(name):
            complaints.add(source.position(name), (), "a folder is expected here", f"write {name}/{_NAMES[name]}")


def _stray(source: Source, name: str) -> tuple[str, str] | None:
    """Problem and remedy for a name that nobody reads; None for names that a deploy may use as a source."""
    if is_backup(name):
        return COPY
    folder = any(path.startswith(f"{name}/") for path in source.paths)
    meant = FOLDERS if folder else (*FILES, *PEOPLE)
    if not folder and name.rpartition(".")[0] == "inventory":
        return "nobody reads this", f"call it hosts{name.removeprefix('inventory')}"
    if not folder and (same := f"{name.rpartition('.')[0]}.yaml") in FILES and name.endswith((".json", ".toml")):
        return "nobody reads this", f"write it in YAML, and call it {same}"
    if near := nearest(name.lower(), meant):
        return "nobody reads this", near
    if not folder and name.endswith(_INVENTORY_SUFFIXES):
        return "nobody reads this", f"files here are {', '.join(meant)}; keep what deploys take elsewhere"
    return None
