"""Kinds of resources: the base of their classes, and the closed table of them. No pyinfra, no pydantic.

A deploy owns resources of one or more of these kinds. Each is one class, with all that the agent knows of it, and a row
of the table: the facts that can be told from keys alone. The table is what the ledger may prune, in the order in which
it goes. A resource with a key of another kind (``op:``, DEEDS) is reported and never pruned.

If a deploy has only one kind, such as ``timezone``, the kind has three methods beside these. The method
``corrections(arguments, root)`` compares the host with what the deploy wants, ``questions(arguments)`` yields the
questions that this look rests on, and each correction calls ``make``.

The cycle, plan, drift, the ledger and uninstall look, remove and restore by these classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import ClassVar, NamedTuple, cast

from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Seen
from agent.errors import DeployError

ResourceState = Mapping[str, JSON]
"""The properties of a resource, in the words of its kind."""

Looked = Seen | OSError | DeployError | None
"""The thing that is there, or None for nothing; an error where nobody may look."""


class Kind(ABC):
    """One kind of resource. ``name`` is what stands behind the colon in a resource's key."""

    inert: ClassVar[bool] = False
    """True if a change of such a resource starts nothing that could go wrong a while later, and no change of another
    inert resource changes it."""

    runs: ClassVar[bool] = False
    """True if such a resource runs, as a unit does."""

    may_hold_others: ClassVar[bool] = False
    """True if such a resource may hold things that are not the agent's. With such things in it, it is not removed, but
    orphaned."""

    @abstractmethod
    def look(self, name: str) -> Seen | None:
        """Look at what is there now; None for nothing. Raises UnsafePath or OSError where nobody may look."""

    def look_each(self, names: Iterable[str]) -> Iterator[Looked]:
        """Look at one after the other. Yields the error in place of a thing that nobody may look at."""
        for name in names:
            try:
                yield self.look(name)
            except (OSError, DeployError) as error:
                yield error

    @abstractmethod
    def changed(self, left: ResourceState, now: Seen) -> str:
        """The difference that somebody else made since the agent ``left`` it so, in a few words; empty if nobody
        did."""

    def remove(
        self,
        entries: Sequence[LedgerEntry],
        *,
        purge: bool,  # noqa: ARG002
        wanted: Collection[str] = (),  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Remove the resources of these entries, which the agent created. ``purge``: with all that it wrote for itself,
        such as a package's configuration. ``wanted``: keys of what Git wants, which must not go along with them.
        Returns the reasons why some had to stay, by key. It is fine if some are gone already."""
        stayed: dict[str, str] = {}
        for entry in entries:
            try:
                self.remove_one(entry)
            except (DeployError, OSError) as error:
                stayed[entry.key] = reason_of(error)
        return stayed

    def remove_one(self, entry: LedgerEntry) -> None:
        """Remove one; it is fine if it is gone. Raises DeployError or OSError with the reason why it has to stay. Kinds
        whose resources go together, or that write something for themselves, override ``remove`` instead."""
        raise NotImplementedError  # a kind overrides this or ``remove``; tests/deploys/test_kind_table.py holds it

    @abstractmethod
    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Make the adopted resource of ``entry`` as it was before. ``image``: its content from then, if kept. Raises
        DeployError if that cannot be done."""

    def release(self, entry: LedgerEntry) -> None:  # noqa: B027 - of most kinds there is nothing
        """Remove what the agent put beside what it adopted (a hold, a sudoers drop-in), because no deploy wants it any
        more; the resource itself stays. It is fine if it is gone. Raises DeployError or OSError."""

    def left_behind(self, entry: LedgerEntry) -> str:  # noqa: ARG002 - of most kinds nothing is
        """The things that stay on the host for good when it goes, in words; empty for none."""
        return ""

    def has_access(self, entry: LedgerEntry) -> bool:  # noqa: ARG002 - of most kinds none does
        """True if it gives somebody access to the host. The agent takes access away at once, while removing the rest
        may have to wait. Raises DeployError or OSError where nobody may look."""
        return False

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:  # noqa: ARG002
        """Take that access away. Returns a line about each part that could not be taken away."""
        return ()

    def units(self, entry: LedgerEntry) -> Collection[str]:  # noqa: ARG002 - most kinds are none
        """The names of the systemd units that it is, or is made into. The name of a template stands for all its
        instances."""
        return ()


def reason_of(error: DeployError | OSError) -> str:
    """The reason of an error, with the hint if there is one, as one line."""
    if isinstance(error, DeployError):
        message = error.message.partition("\n")[0]
        return f"{message}; {error.hint}" if error.hint else message
    return f"{error.strerror or error}"


def state_before(entry: LedgerEntry) -> ResourceState:
    """The state before the agent. Raises DeployError if nobody could look then: the resource can only be left as it
    is."""
    before = entry.before or {}
    if UNSEEN in before:
        raise DeployError(f"what {entry.key} was before is not known: {before[UNSEEN]}")
    return before


def state_left(entry: LedgerEntry) -> ResourceState | None:
    """The state that the agent left for sure; None if it left nothing, or was cut off."""
    return entry.left if entry.settled else None


class PathShape(Enum):
    """The thing that a resource is at the path in its name."""

    FILE = auto()
    LINK = auto()
    FOLDER = auto()
    PART = auto()
    """Lines of a file whose other lines are not the agent's. The path stands before a # in the name."""


class KindRow(NamedTuple):
    """The facts about a kind that need no class. Each cycle loads the table: dataclasses would take 0.4 ms more."""

    place: str
    """Module and class, below ``agent.deploys``; imported when first asked for."""
    shape: PathShape | None = None
    """None if its names are no paths."""
    also: Mapping[str, str] = MappingProxyType({})
    """By key of a file or link, the name of the resource of this kind that is the same thing. In both ``{}`` stands for
    the same text: ``file:/etc/cron.d/hostwright-{}`` is ``cron:{}``."""
    shared: bool = False
    """True if several deploys may want something of the same resource. Any other resource is wanted by one deploy
    alone."""
    operations: Mapping[str, str] = MappingProxyType({})
    """pyinfra's operations that look after such resources, each with the argument that names them."""
    named: str = ""
    """The pattern that this argument has to match, if it is no path. The group ``name`` is the name of the resource."""


_PACKAGE_MANAGERS = ("apt", "dnf", "yum", "zypper", "apk", "pacman", "server")
"""Modules of pyinfra. The last one uses the package manager that the host has."""

_ACCOUNT = r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)"

_KINDS: Mapping[str, KindRow] = {
    "unit": KindRow(
        "services.host:Unit",
        also={"file:/etc/systemd/system/{}": "{}"},
        shared=True,
        operations={"server.service": "service", "systemd.service": "service"},
        named=r"(?P<name>(?!-)[A-Za-z0-9:_.\\@-]{1,240})",
    ),
    "quadlet": KindRow("containers.host:Quadlet", also={"file:/etc/containers/systemd/{}": "{}"}),
    "cron": KindRow("cron.host:CronEntry", also={"file:/etc/cron.d/hostwright-{}": "{}"}),
    "block": KindRow("files.part:Block", PathShape.PART),
    "line": KindRow("files.part:Line", PathShape.PART),
    "hosts": KindRow("hosts.line:HostsLine", PathShape.PART),
    "link": KindRow("files.link:Link", PathShape.LINK, operations={"files.link": "path"}),
    "file": KindRow(
        "files.file:File",
        PathShape.FILE,
        operations={f"files.{each}": "dest" for each in ("put", "template", "download", "copy")}
        | {"files.file": "path"},
    ),
    "tool": KindRow("tools.host:Tool"),
    "package": KindRow(
        "packages.package:Package",
        operations={f"{each}.packages": "packages" for each in _PACKAGE_MANAGERS},
        named=r"(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?)(=\S+)?",
    ),
    "sysctl": KindRow("sysctl.host:KernelSetting"),
    "timezone": KindRow("timezone.host:Timezone", also={"link:/etc/localtime": "host", "file:/etc/timezone": "host"}),
    "user": KindRow("users.user:User", shared=True, operations={"server.user": "user"}, named=_ACCOUNT),
    "group": KindRow("users.group:Group", shared=True, operations={"server.group": "group"}, named=_ACCOUNT),
    "directory": KindRow("files.directory:Directory", PathShape.FOLDER, operations={"files.directory": "path"}),
}
"""In the order of removal: what runs goes before what it reads, and what is in a folder before the folder."""

NAMES = tuple(_KINDS)

DEEDS = frozenset({"command", "upgrade"})
"""Words before the colon in keys of deeds, which are done and are no things. The agent reports them and never undoes
them."""

AT_A_PATH = tuple(name for name, row in _KINDS.items() if row.shape not in (None, PathShape.PART))
"""Kinds of which only one resource can be at a path."""

OPERATIONS = {each: (name, argument) for name, row in _KINDS.items() for each, argument in row.operations.items()}
"""The kind that an operation of pyinfra looks after and the argument that names the resources, by operation."""

_NO_KIND = KindRow("")

_OTHER_KEYS: dict[str, list[tuple[str, bool, str]]] = {}
"""By kind: the start of its key, True if anything follows it, and the other key."""

for _kind, _row in _KINDS.items():
    for _also, _name in _row.also.items():
        for _one, _other in ((f"{_kind}:{_name}", _also), (_also, f"{_kind}:{_name}")):
            _OTHER_KEYS.setdefault(_one.partition(":")[0], []).append((_one.removesuffix("{}"), "{}" in _one, _other))


def row_of(kind: str) -> KindRow:
    """The row of a kind; an empty one if the table does not have the kind."""
    return _KINDS.get(kind, _NO_KIND)


def kind_named(name: str) -> Kind | None:
    """The kind with this ``name``, which stands before the colon of a key; None if the table does not have it."""
    if name not in _KINDS:
        return None
    module, _, maker = _KINDS[name].place.partition(":")
    return cast("Kind", getattr(import_module(f"agent.deploys.{module}"), maker)())


def judged(entry: LedgerEntry, now: Seen | None) -> str:
    """The reason why the thing that is there ``now`` may be somebody else's; empty if it is for sure as the agent left
    it."""
    if not entry.settled:
        return "the change that brought it did not end well"
    if now is None:
        return "changed since: it is gone" if entry.left is not None else ""
    if entry.left is None:
        return "changed since: it was made anew"
    changed = changed_since(entry.kind, entry.left, now)
    return f"changed since: {changed}" if changed else ""


def changed_since(kind: str, left: ResourceState, now: Seen) -> str:
    """The difference that somebody else made to a resource of this kind since it was ``left`` so, in a few words; empty
    if nobody did."""
    found = kind_named(kind)
    return found.changed(left, now) if found is not None else "nobody can tell"


def units_of(entry: LedgerEntry) -> Collection[str]:
    """The names of the units that the resource of an entry is, or that read it."""
    kind = kind_named(entry.kind)
    return {*entry.reloads, *(kind.units(entry) if kind is not None else ())}


def removal_rank(key: str) -> tuple[int, bool]:
    """The rank of a resource in the order of removal, as a sort key; equal for those of a kind that go together.
    Folders in homes go with the files, while it is still known where their users live."""
    kind, _, name = key.partition(":")
    in_home = row_of(kind).shape is PathShape.FOLDER and name.startswith("~")
    kind = "file" if in_home else kind
    return NAMES.index(kind) if kind in NAMES else len(NAMES), in_home


def others_at_path(key: str) -> tuple[str, ...]:
    """Keys of the other things that can be at the path of a file, a directory or a link, instead of it; none for other
    kinds."""
    kind, _, name = key.partition(":")
    return tuple(f"{other}:{name}" for other in AT_A_PATH if other != kind) if kind in AT_A_PATH else ()


@cache
def other_keys(key: str) -> tuple[str, ...]:
    """The other keys of a thing that is also a file or a link. A deploy that wants the file of a unit wants the unit to
    stay, too."""
    found = []
    for start, open_ended, other in _OTHER_KEYS.get(key.partition(":")[0], ()):
        part = key.removeprefix(start)
        if key.startswith(start) and bool(part) is open_ended and "/" not in part:
            found.append(other.replace("{}", part))
    return tuple(found)


def file_of(key: str) -> str | None:
    """The key of the file that a part of a file lies in; None for any other kind."""
    kind, _, name = key.partition(":")
    return f"file:{name.partition('#')[0]}" if row_of(kind).shape is PathShape.PART else None


def paths_of(key: str) -> Iterator[str]:
    """The absolute paths of the files, directories or links that a resource is or lies in; none in homes."""
    for each in (file_of(key) or key, *other_keys(key)):
        kind, _, name = each.partition(":")
        if kind in AT_A_PATH and name.startswith("/"):
            yield name
