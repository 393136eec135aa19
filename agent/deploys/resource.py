"""Kinds of resources that can be taken back: how each is looked at, removed and restored, outside of any deploy.

This is the closed set of what the ledger may prune. A deploy owns resources of one or more of these kinds; what has a
key of another kind (``op:``, ``command:``) is reported and never pruned. No pyinfra in here: the cycle itself looks
and removes, not the engine child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen


class ResourceKind(Protocol):
    """``name`` is what stands behind the colon in a resource's key."""

    def look(self, name: str) -> Seen | None:
        """What is there now; None for nothing. Changes nothing. Raises Refused or OSError where nobody may look."""
        ...

    def changed(self, left: Mapping[str, JSON], now: Seen) -> str:
        """In a few words, what somebody else changed since the agent left it so; empty where nobody did."""
        ...

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        """Takes away what these entries say the agent created. ``purge``: with all that it wrote for itself, such as
        a package's configuration. Returns, by key, why some had to stay; those that are gone already are fine."""
        ...

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Gives back what ``entry`` says was adopted, as it was before. Raises DeployError when it cannot."""
        ...


_KINDS: Mapping[str, str] = {
    "unit": "agent.deploys.services.resource",
    "quadlet": "agent.deploys.containers.resource",
    "cron": "agent.deploys.cron.resource",
    "block": "agent.deploys.files.resource",
    "line": "agent.deploys.files.resource",
    "link": "agent.deploys.files.resource",
    "file": "agent.deploys.files.resource",
    "tool": "agent.deploys.tools.resource",
    "package": "agent.deploys.packages.resource",
    "sysctl": "agent.deploys.sysctl.resource",
    "user": "agent.deploys.users.resource",
    "group": "agent.deploys.users.resource",
    "directory": "agent.deploys.files.resource",
}
"""In the order in which they go: what runs before what it reads, what is in a folder before the folder."""

REMOVAL_ORDER = tuple(_KINDS)


def resource_kind(kind: str) -> ResourceKind | None:
    """The kind that stands before the colon of a key; None for one that is not in the closed set.

    Each module has a function ``resource_kind(kind)`` and is imported when first asked for.
    """
    module = _KINDS.get(kind)
    if module is None:
        return None
    return cast("ResourceKind", import_module(module).resource_kind(kind))
