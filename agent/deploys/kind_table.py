"""The closed table of kinds of resources: what the ledger may prune, in the order in which it goes.

A deploy owns resources of one or more of these kinds. What has a key of another kind (``op:``, DEEDS) is reported and
never pruned. A row says what keys alone tell of a kind; all else its class does (``Kind``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum, auto
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple, cast

from agent.deploys.kind import Kind, ResourceState
from agent.domain.ownership import LedgerEntry, Seen


class PathShape(Enum):
    """What a resource is at the path that it is named by."""

    FILE = auto()
    LINK = auto()
    FOLDER = auto()
    PART = auto()
    """Of a file whose other lines are not the agent's; the path stands before a # in its name."""


class KindRow(NamedTuple):
    """What is known of a kind without its class. Each cycle loads it: a dataclass would take 0.4 ms more."""

    place: str
    """Module and class, below ``agent.deploys``; imported when first asked for."""
    shape: PathShape | None = None
    """None where its names are no paths."""
    also: Mapping[str, str] = MappingProxyType({})
    """Keys of files and links that are the same thing by another name, each with the name of the resource; {} at the
    end stands for the same in both."""
    shared: bool = False
    """True where several deploys may each want something of one. Of others one deploy says all there is to say."""
    operations: Mapping[str, str] = MappingProxyType({})
    """pyinfra's operations that look after such resources, each with the argument that names them."""
    named: str = ""
    """The pattern of what that argument may say, where it is no path; of which the group ``name`` is the name."""


_PACKAGE_MANAGERS = ("apt", "dnf", "yum", "zypper", "apk", "pacman", "server")
"""Modules of pyinfra's, of which the last takes whatever the host has."""

_ACCOUNT = r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)"

_KINDS: Mapping[str, KindRow] = {
    "unit": KindRow(
        "services.unit:Unit",
        also={"file:/etc/systemd/system/{}": "{}"},
        shared=True,
        operations={"server.service": "service", "systemd.service": "service"},
        named=r"(?P<name>(?!-)[A-Za-z0-9:_.\\@-]{1,240})",
    ),
    "quadlet": KindRow("containers.quadlet:Quadlet", also={"file:/etc/containers/systemd/{}": "{}"}),
    "cron": KindRow("cron.entry:CronEntry", also={"file:/etc/cron.d/hostwright-{}": "{}"}),
    "block": KindRow("files.part:Block", PathShape.PART),
    "line": KindRow("files.part:Line", PathShape.PART),
    "link": KindRow("files.link:Link", PathShape.LINK, operations={"files.link": "path"}),
    "file": KindRow(
        "files.file:File",
        PathShape.FILE,
        operations={f"files.{each}": "dest" for each in ("put", "template", "download", "copy")}
        | {"files.file": "path"},
    ),
    "tool": KindRow("tools.tool:Tool"),
    "package": KindRow(
        "packages.package:Package",
        operations={f"{each}.packages": "packages" for each in _PACKAGE_MANAGERS},
        named=r"(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?)(=\S+)?",
    ),
    "sysctl": KindRow("sysctl.setting:KernelSetting"),
    "timezone": KindRow(
        "timezone.timezone:Timezone", also={"link:/etc/localtime": "host", "file:/etc/timezone": "host"}
    ),
    "user": KindRow("users.user:User", shared=True, operations={"server.user": "user"}, named=_ACCOUNT),
    "group": KindRow("users.group:Group", shared=True, operations={"server.group": "group"}, named=_ACCOUNT),
    "directory": KindRow("files.directory:Directory", PathShape.FOLDER, operations={"files.directory": "path"}),
}
"""In the order in which they go: what runs before what it reads, what is in a folder before the folder."""

NAMES = tuple(_KINDS)

DEEDS = frozenset({"command", "upgrade"})
"""What stands before the colon in keys of what is done and is no thing: it is reported, and never undone."""

AT_A_PATH = tuple(name for name, row in _KINDS.items() if row.shape not in (None, PathShape.PART))
"""Kinds of which one alone is at a path."""

OPERATIONS = {each: (name, argument) for name, row in _KINDS.items() for each, argument in row.operations.items()}
"""By operation of pyinfra's, the kind that it looks after and the argument that names them."""

_NO_KIND = KindRow("")

_SAME: dict[str, list[tuple[str, bool, str]]] = {}
"""By kind, how a key of it begins, whether anything follows, and the other key."""

for _kind, _row in _KINDS.items():
    for _also, _name in _row.also.items():
        for _one, _other in ((f"{_kind}:{_name}", _also), (_also, f"{_kind}:{_name}")):
            _SAME.setdefault(_one.partition(":")[0], []).append((_one.removesuffix("{}"), "{}" in _one, _other))


def row_of(kind: str) -> KindRow:
    """The row of a kind; one without facts for what is not in the closed set."""
    return _KINDS.get(kind, _NO_KIND)


def kind_named(name: str) -> Kind | None:
    """The kind that stands before the colon of a key; None for one that is not in the closed set."""
    if name not in _KINDS:
        return None
    module, _, maker = _KINDS[name].place.partition(":")
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
    """Sorts resources in the order in which they go; equal for those of a kind that go together. Folders in homes go
    with the files, while it is still known where their users live."""
    kind, _, name = key.partition(":")
    in_home = row_of(kind).shape is PathShape.FOLDER and name.startswith("~")
    kind = "file" if in_home else kind
    return NAMES.index(kind) if kind in NAMES else len(NAMES), in_home


def same_place(key: str) -> tuple[str, ...]:
    """Keys of what else can be at the path of a file, a directory or a link, instead of it."""
    kind, _, name = key.partition(":")
    return tuple(f"{other}:{name}" for other in AT_A_PATH if other != kind) if kind in AT_A_PATH else ()


@cache
def same_things(key: str) -> tuple[str, ...]:
    """The other names of a thing that is also a file or a link: who wants the file of a unit does not want the unit to
    go."""
    found = []
    for start, open_ended, other in _SAME.get(key.partition(":")[0], ()):
        part = key.removeprefix(start)
        if key.startswith(start) and bool(part) is open_ended and "/" not in part:
            found.append(other.replace("{}", part))
    return tuple(found)


def file_of(key: str) -> str | None:
    """The key of the file that a block or a line lies in; None for what is no part of a file."""
    kind, _, name = key.partition(":")
    return f"file:{name.partition('#')[0]}" if row_of(kind).shape is PathShape.PART else None


def paths_of(key: str) -> Iterator[str]:
    """The paths on the system where a resource lies; none for what is no file, directory or link there."""
    for each in (file_of(key) or key, *same_things(key)):
        kind, _, name = each.partition(":")
        if kind in AT_A_PATH and name.startswith("/"):
            yield name
