"""The closed table of kinds of resources: what the ledger may prune, in the order in which it goes.

A deploy owns resources of one or more of these kinds. What has a key of another kind (``op:``, ``command:``) is
reported and never pruned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from typing import cast

from agent.deploys.kind import Kind, ResourceState
from agent.domain.ownership import LedgerEntry, Seen

_KINDS: Mapping[str, str] = {
    "unit": "services.unit:Unit",
    "quadlet": "containers.quadlet:Quadlet",
    "cron": "cron.entry:CronEntry",
    "block": "files.block:Block",
    "line": "files.line:Line",
    "link": "files.link:Link",
    "file": "files.file:File",
    "tool": "tools.tool:Tool",
    "package": "packages.package:Package",
    "sysctl": "sysctl.setting:KernelSetting",
    "timezone": "timezone.timezone:Timezone",
    "user": "users.user:User",
    "group": "users.group:Group",
    "directory": "files.directory:Directory",
}
"""By kind, its class, below ``agent.deploys``; imported when first asked
for. In the order in which they go: what runs before what it reads, what is in a folder before the folder."""

NAMES = tuple(_KINDS)

AT_A_PATH = ("file", "directory", "link")
"""Kinds of which one alone is at a path."""

_FOLDERS = {"unit": "/etc/systemd/system/", "quadlet": "/etc/containers/systemd/"}
"""Kinds that are a file in one folder, too."""

_IN_HOME = "directory:~"
"""Folders in homes go while it is still known where their users live."""


def kind_named(name: str) -> Kind | None:
    """The kind that stands before the colon of a key; None for one that is not in the closed set."""
    place = _KINDS.get(name)
    if place is None:
        return None
    module, _, maker = place.partition(":")
    return cast("Kind", getattr(import_module(f"agent.deploys.{module}"), maker)())


def judged(entry: LedgerEntry, now: Seen | None) -> str:
    """The reason why what is there ``now`` may be somebody else's; empty where it is for sure as the agent left it."""
    if not entry.settled:
        return "the change that brought it did not end well"
    if now is None:
        return "changed since: it is gone" if entry.left is not None else ""
    if entry.left is None:
        return "changed since: it was made anew"
    changed = changed_since(entry.kind, entry.left, now)
    return f"changed since: {changed}" if changed else ""


def changed_since(kind: str, left: ResourceState, now: Seen) -> str:
    """Say in a few words what somebody else changed of a resource of this kind since it was ``left`` so; empty where
    nobody did."""
    found = kind_named(kind)
    return found.changed(left, now) if found is not None else "nobody can tell"


def units_of(entry: LedgerEntry) -> Collection[str]:
    """The units that an entry stands for, or that read it."""
    kind = kind_named(entry.kind)
    return {*entry.reloads, *(kind.units(entry) if kind is not None else ())}


def removal_rank(key: str) -> tuple[int, bool]:
    """Sorts resources in the order in which they go; equal for those of a kind that go together."""
    in_home = key.startswith(_IN_HOME)
    kind = "file" if in_home else key.partition(":")[0]
    return NAMES.index(kind) if kind in NAMES else len(NAMES), in_home


def same_place(key: str) -> tuple[str, ...]:
    """Keys of what else can be at the path of a file, a directory or a link, instead of it."""
    kind, _, name = key.partition(":")
    return tuple(f"{other}:{name}" for other in AT_A_PATH if other != kind) if kind in AT_A_PATH else ()


@cache
def same_thing(key: str) -> str | None:
    """The other name of a thing that is also a file: who wants the file of a unit does not want the unit to go."""
    kind, _, name = key.partition(":")
    if kind in _FOLDERS:
        return f"file:{_FOLDERS[kind]}{name}"
    for other, folder in _FOLDERS.items() if kind == "file" else ():
        if name.startswith(folder) and "/" not in name.removeprefix(folder):
            return f"{other}:{name.removeprefix(folder)}"
    return None
