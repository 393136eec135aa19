"""The reader of an inventory of a config repo: all its files, and every complaint that concerns all hosts."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.tree import Tree
from agent.host.identity import admitted
from agent.inventory.ansible.inventory import complain_of_unread, read_inventory
from agent.inventory.arguments import read_constants
from agent.inventory.complaint import Complaints
from agent.inventory.environment import Environment
from agent.inventory.fleet import read_fleet_file
from agent.inventory.lint.deploy_files import require_python
from agent.inventory.lint.fleet_hosts import check_hosts, check_windows
from agent.inventory.lint.strays import complain_of_strays
from agent.inventory.lock import Lock, read_lock
from agent.inventory.other_repositories import OtherRepositories, ReadRepository, not_fetched
from agent.inventory.recipients import read_recipients
from agent.inventory.site import Play, read_site
from agent.inventory.source import open_source
from agent.inventory.tools import read_tools


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
        check_hosts(fleet, root, inventory, complaints)
        check_windows(fleet, root, complaints)
    pinned = Complaints()
    tools = read_tools(source, pinned)
    lock = read_lock(source, pinned) if locked else Lock()
    complaints.include(pinned)
    complain_of_unread(source, inventory, complaints)
    complain_of_strays(source, complaints)
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
