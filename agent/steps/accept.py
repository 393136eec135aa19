"""accept: turns the newest trusted commit into the rule for those behind it: what may vouch for a new commit, itself or
a tag, and which branch it has to name."""

from __future__ import annotations

from agent.domain.commit import Accept
from agent.errors import InventoryError
from agent.inventory.fleet import read_fleet
from agent.system.git import Mirror


def accepted(mirror: Mirror, inventory: str, remembered: Accept, since: str | None) -> Accept:
    """Return the rule in fleet.yaml (``trust:``) of the commit ``since``.

    Return the default rule, any signed commit, without ``since`` or ``inventory``. Return ``remembered`` if the mirror
    has no such commit, or its fleet.yaml cannot be read.
    """
    if since is None or not inventory:
        return Accept()
    if not mirror.has(since):
        return remembered
    try:
        return read_fleet(mirror.tree(since), inventory).trust.accepts
    except InventoryError:
        return remembered
