"""members: turns the files of a config repo into the hosts of its inventory, and the keys of those admitted."""

from __future__ import annotations

from collections.abc import Mapping

from agent.domain.tree import Tree
from agent.errors import HostwrightError
from agent.host.identity import admitted
from agent.inventory.ansible.inventory import read_host_names
from agent.inventory.source import open_source


def identities_of(tree: Tree, inventory: str) -> Mapping[str, str]:
    """The public lines of the admitted hosts, by host."""
    found, _ = admitted(tree, inventory)
    return {host: identity.ssh for host, identity in found.items()}


def hosts_of(tree: Tree, inventory: str) -> frozenset[str] | None:
    """The hosts of an inventory; None if it cannot be read."""
    try:
        return read_host_names(open_source(tree, inventory))
    except HostwrightError:
        return None
