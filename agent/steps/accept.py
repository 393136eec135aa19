"""accept: turns the newest trusted commit into what this host takes as new."""

from __future__ import annotations

from agent.domain.commit import Accept
from agent.errors import InventoryError
from agent.inventory.fleet import read_fleet
from agent.system.git import Mirror


def accepted(mirror: Mirror, inventory: str, remembered: Accept, since: str | None) -> Accept:
    """Return what this host accepts as new: what fleet.yaml of the commit ``since`` says.

    Without ``since`` or ``inventory`` that is the default, commits. Return ``remembered`` if the mirror has no such
    commit, or its fleet.yaml cannot be read.
    """
    if since is None or not inventory:
        return Accept()
    if not mirror.has(since):
        return remembered
    try:
        return read_fleet(mirror.tree(since), inventory).trust.accepts
    except InventoryError:
        return remembered
