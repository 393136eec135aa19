"""Kinds of resources that can be taken back: how each is looked at, removed and restored, outside of any deploy.

This is the closed set of what the ledger may prune. A deploy owns resources of one or more of these kinds; what has a
key of another kind (``op:``, ``command:``) is reported and never pruned. No pyinfra in here: the cycle itself looks
and removes, not the engine child.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Seen
from agent.errors import DeployError


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


def state_before(entry: LedgerEntry) -> Mapping[str, JSON]:
    """What was there before. Raises DeployError where nobody could look at it then: it can only be left as it is."""
    before = entry.before or {}
    if UNSEEN in before:
        raise DeployError(f"what {entry.key} was before is not known: {before[UNSEEN]}")
    return before


def state_left(entry: LedgerEntry) -> Mapping[str, JSON] | None:
    """What the agent left there, for sure; None where it left nothing, or was cut off."""
    return entry.left if entry.settled else None


def judged(entry: LedgerEntry, now: Seen | None) -> str:
    """Why what is there ``now`` may be somebody else's; empty where it is for sure as the agent left it. Of what was
    created and is gone nobody needs to ask."""
    if not entry.settled:
        return "the change that brought it did not end well"
    if now is None:
        return "changed since: it is gone" if entry.left is not None else ""
    if entry.left is None:
        return "changed since: it was made anew"
    changed = changed_since(entry.kind, entry.left, now)
    return f"changed since: {changed}" if changed else ""


def changed_since(kind: str, left: Mapping[str, JSON], now: Seen) -> str:
    """In a few words, what somebody else changed of a resource of this kind since it was ``left`` so; empty where
    nobody did."""
    found = resource_kind(kind)
    return found.changed(left, now) if found is not None else "nobody can tell"


@runtime_checkable
class Releasable(Protocol):
    """A kind that puts things of the agent's own beside what it adopted: a hold, a sudoers drop-in, keys."""

    def release(self, entry: LedgerEntry) -> None:
        """Takes those away, because no deploy wants them any more; the resource itself stays as it is. Fine where
        they are gone. Raises DeployError or OSError when it cannot."""
        ...


@runtime_checkable
class Revocable(Protocol):
    """A kind that gives somebody access to the host. That goes at once, while removing the rest may have to wait."""

    def has_access(self, entry: LedgerEntry) -> bool:
        """Whether there is anything to take away. Raises DeployError or OSError where nobody may look."""
        ...

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:
        """Takes all of it away that goes when the resource goes. Returns what could not be taken, a line each."""
        ...


@runtime_checkable
class Running(Protocol):
    """A kind whose resources are units of systemd, or are made into some."""

    def units(self, entry: LedgerEntry) -> Collection[str]:
        """The names of those units; of a template its own name, which stands for all instances."""
        ...


def units_of(entry: LedgerEntry) -> Collection[str]:
    """The units that an entry stands for, or that read it."""
    kind: object = resource_kind(entry.kind)
    return {*entry.reloads, *(kind.units(entry) if isinstance(kind, Running) else ())}


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

_AT_A_PATH = ("file", "directory", "link")

_FOLDERS = {"unit": "/etc/systemd/system/", "quadlet": "/etc/containers/systemd/"}
"""Kinds that are a file in one folder, too."""

_IN_HOME = "directory:~"
"""Folders in homes go while it is still known where their users live."""


def removal_rank(key: str) -> tuple[int, bool]:
    """What sorts resources in the order in which they go; the same for those of a kind that go together."""
    in_home = key.startswith(_IN_HOME)
    kind = "file" if in_home else key.partition(":")[0]
    return REMOVAL_ORDER.index(kind) if kind in REMOVAL_ORDER else len(REMOVAL_ORDER), in_home


def resource_kind(kind: str) -> ResourceKind | None:
    """The kind that stands before the colon of a key; None for one that is not in the closed set.

    Each module has a function ``resource_kind(kind)`` and is imported when first asked for.
    """
    module = _KINDS.get(kind)
    if module is None:
        return None
    return cast("ResourceKind", import_module(module).resource_kind(kind))


def same_place(key: str) -> tuple[str, ...]:
    """Keys of what else can be at the path of a file, a directory or a link, instead of it."""
    kind, _, name = key.partition(":")
    return tuple(f"{other}:{name}" for other in _AT_A_PATH if other != kind) if kind in _AT_A_PATH else ()


def same_thing(key: str) -> str | None:
    """The other name of a thing that is also a file: who wants the file of a unit does not want the unit to go."""
    kind, _, name = key.partition(":")
    if kind in _FOLDERS:
        return f"file:{_FOLDERS[kind]}{name}"
    for other, folder in _FOLDERS.items():
        if kind == "file" and name.startswith(folder) and "/" not in name.removeprefix(folder):
            return f"{other}:{name.removeprefix(folder)}"
    return None
