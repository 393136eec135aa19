"""`hostwright diff`: the differences between two states of a config repo, host by host. No host is asked.

of each commit    Tree ─InventoryAt→ DesiredState of each host
of two commits    DesiredState, DesiredState ─Contrast→
of all hosts      Contrast ─→ Comparison
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import NoneType
from typing import Any

from agent.deploys.spec import spec_class
from agent.domain import codec
from agent.domain.desired import DesiredDeploy, DesiredState, Looking
from agent.domain.digest import JSON, digest_of
from agent.domain.sealed import all_shown
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.inventory.complaint import Complaints
from agent.inventory.environment import Environment
from agent.inventory.fleet import FLEET_FILE
from agent.inventory.load import read
from agent.inventory.other_repositories import ReadRepository
from agent.problems import ProblemKind
from agent.steps.resolve import DEPLOYS_FOLDERS, fleet_settings, state_of

HOST = "host"
"""``Contrast.resource`` of one about a whole host."""
ORDER = "order"
"""``Contrast.resource`` of one about the order of deploys."""


class Action(StrEnum):
    """The difference of a thing between the first commit and the second."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Property:
    """One property that differs. ``name``: its keys, joined by dots. ``before``, ``after``: None where it is not
    set."""

    name: str
    before: JSON
    after: JSON


@dataclass(slots=True)
class Contrast:
    """The difference between what two commits want of one resource, the same for several hosts.

    ``deploy``: empty where it is about the host. ``resource``: empty where it is about the deploy as a whole.
    ``properties``: with the values on the first of ``hosts``. ``unlike``: the number of other hosts whose values
    differ from these."""

    deploy: str
    resource: str
    action: Action
    properties: tuple[Property, ...] = ()
    hosts: list[str] = field(default_factory=list, compare=False)
    unlike: int = field(default=0, compare=False)

    @property
    def identity(self) -> tuple[str, str, Action, tuple[str, ...]]:
        """A key that is equal for two hosts on which the same properties change, whatever their values are."""
        return self.deploy, self.resource, self.action, tuple(each.name for each in self.properties)


@dataclass(slots=True)
class Comparison:
    """The comparison of one inventory in two commits. ``hosts``: the number of hosts compared. ``untold``: the hosts
    that could not be compared, each with the reason."""

    inventory: str
    hosts: int = 0
    contrasts: list[Contrast] = field(default_factory=list)
    untold: dict[str, str] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The hosts of each group in the later commit; sets of hosts are named by them."""

    @property
    def changed(self) -> frozenset[str]:
        return frozenset(host for each in self.contrasts for host in each.hosts)


class InventoryAt:
    """One inventory in one commit. ``environment``: None where the commit has no such inventory."""

    def __init__(self, tree: Tree, inventory: str, repositories: ReadRepository) -> None:
        self._tree = tree
        self.environment: Environment | None = None
        self.complaints = Complaints()
        """Complaints about the inventory as a whole: with one, nothing can be told of any host."""
        self.of_hosts = Complaints()
        try:
            self.environment, self.complaints = read(tree, inventory, repositories)
        except InventoryError as error:
            if error.kind is not ProblemKind.INVENTORY_UNKNOWN:
                raise
        self.files = {e.path: e.blob for folder in DEPLOYS_FOLDERS for e in tree.entries(folder)}
        """The files that deploy files are made of: blob ids by path."""

    def hosts(self, pattern: str) -> tuple[str, ...]:
        """The names of the hosts that match ``pattern``. Raises InventoryError for a malformed pattern."""
        return self.environment.inventory.match(pattern) if self.environment is not None else ()

    @property
    def unreadable(self) -> str | None:
        """The reason why nothing can be told of any host, not even which hosts there are; None without one."""
        return next((error.message.partition("\n")[0] for error in self.complaints.errors), None)

    def state(self, host: str) -> DesiredState | str:
        """The desired state of ``host``, or the reason why it cannot be told."""
        assert self.environment is not None
        complaints = Complaints()
        [(_, found)] = self.environment.each(complaints, [host])
        self.of_hosts.include(complaints)
        for error in complaints.errors:
            return error.message.partition("\n")[0]
        return state_of(self.environment, self._tree, found or (), host=host, commit="0" * 40)

    def settings(self, host: str) -> Mapping[str, JSON]:
        """The settings of the agent on ``host`` in fleet.yaml and lock.yaml."""
        assert self.environment is not None
        settings = codec.to_plain(fleet_settings(self.environment, host))
        pin = self.environment.lock.agent
        return {**settings, "hosts": None, "agent": pin.name if pin is not None else None}


def compare(inventory: str, before: InventoryAt, after: InventoryAt, pattern: str = "all") -> Comparison:
    """Compare the hosts of an inventory in two commits. Raises InventoryError for a malformed pattern."""
    found = Comparison(inventory)
    if after.environment is not None:
        groups = after.environment.inventory.groups
        found.groups = {name: frozenset(hosts) for name, hosts in groups.items()}
    old, new = before.hosts(pattern), after.hosts(pattern)
    kinds: dict[tuple[str, str, Action, tuple[str, ...]], Contrast] = {}
    unreadable = before.unreadable or after.unreadable
    for host in dict.fromkeys((*new, *old)):
        found.hosts += 1
        told = unreadable or _of_host(host, before if host in old else None, after if host in new else None)
        if isinstance(told, str):
            found.untold[host] = told
            continue
        for contrast in told:
            first = kinds.setdefault(contrast.identity, contrast)
            first.hosts.append(host)
            first.unlike += contrast != first
    found.contrasts = list(kinds.values())
    return found


def _of_host(host: str, before: InventoryAt | None, after: InventoryAt | None) -> list[Contrast] | str:
    """The differences for ``host``, or the reason why they cannot be told. ``before``, ``after``: None where the host
    is not in the inventory."""
    if after is None:
        return [Contrast("", HOST, Action.REMOVED)]
    was, now = before.state(host) if before is not None else None, after.state(host)
    if isinstance(was, str) or isinstance(now, str):
        return was if isinstance(was, str) else f"{now}"
    if before is None or was is None:
        added = Contrast("", HOST, Action.ADDED)
        return [added, *_of_states(replace(now, deploys=()), now, after.files, after.files)]
    settings = tuple(_properties(before.settings(host), after.settings(host)))
    of_agent = [Contrast("", FLEET_FILE, Action.CHANGED, settings)] if settings else []
    return [*of_agent, *_of_states(was, now, before.files, after.files)]


def _of_states(
    before: DesiredState, after: DesiredState, old_files: Mapping[str, str], new_files: Mapping[str, str]
) -> Iterator[Contrast]:
    if before == after:
        return
    old = {deploy.name: deploy for deploy in before.deploys}
    new = {deploy.name: deploy for deploy in after.deploys}
    files = tuple(_properties(old_files, new_files))
    for name in dict.fromkeys((*new, *old)):
        yield from _of_deploys(name, old.get(name), new.get(name), files)
    was, now = ([name for name in names if name in old and name in new] for names in (old, new))
    if was != now:
        yield Contrast("", ORDER, Action.CHANGED, (Property("deploys", was, now),))


def _of_deploys(
    name: str, old: DesiredDeploy | None, new: DesiredDeploy | None, files: tuple[Property, ...]
) -> Iterator[Contrast]:
    """The differences of one deploy. ``files``: those of the files that deploy files are made of."""
    if old == new:
        return
    resources = tuple(_of_resources(name, _wanted(old), _wanted(new)))
    both = old is not None and new is not None
    whole = tuple(_properties(_as_a_whole(old, scalars=both), _as_a_whole(new, scalars=both)))
    if old is None or new is None:
        action = Action.ADDED if old is None else Action.REMOVED
        yield Contrast(name, "", action, whole)
    else:
        code = files if new.source is not None and new.repository is None and old.digest != new.digest else ()
        if not whole and not code and not resources and old.digest != new.digest:
            code = (Property("digest", old.digest[:12], new.digest[:12]),)
        if whole or code:
            yield Contrast(name, "", Action.CHANGED, (*whole, *code))
    yield from resources


def _of_resources(
    deploy: str, old: Mapping[str, Mapping[str, JSON]], new: Mapping[str, Mapping[str, JSON]]
) -> Iterator[Contrast]:
    for key in dict.fromkeys((*new, *old)):
        action = Action.CHANGED if key in old and key in new else Action.ADDED if key in new else Action.REMOVED
        differing = tuple(_properties(old.get(key, {}), new.get(key, {})))
        if differing or action is not Action.CHANGED:
            yield Contrast(deploy, key, action, differing)


def _wanted(deploy: DesiredDeploy | None) -> Mapping[str, Mapping[str, JSON]]:
    """The properties of each resource of a built-in, by key; empty for a deploy file, which tells them when it runs."""
    if deploy is None or not deploy.built_in:
        return {}
    told = spec_class(deploy.kind).properties(deploy.arguments)
    return {resource.key: told.get(resource.key, {"digest": resource.digest[:12]}) for resource in deploy.resources}


def _as_a_whole(deploy: DesiredDeploy | None, *, scalars: bool) -> dict[str, JSON]:
    """The properties of a deploy besides its resources, without those at their default. ``scalars``: also those
    arguments of a built-in that belong to no resource."""
    if deploy is None:
        return {}
    plain = codec.to_plain(
        replace(deploy, arguments={}, digest="", resources=(), looking=Looking.CONFINED), defaults=False
    )
    left_out = {"name", "arguments", "digest", "repository", *(("kind",) if deploy.kind == deploy.name else ())}
    told = {name: value for name, value in plain.items() if name not in left_out}
    if deploy.on_remove is not None:
        told["on_remove"] = deploy.on_remove.source
    if deploy.repository is not None:
        told["commit"] = deploy.repository.commit
    if not deploy.built_in:
        told["plan"] = deploy.looking.value
    elif scalars:
        of_resources = {name for properties in _wanted(deploy).values() for name in properties}
        plain = {name: value for name, value in deploy.arguments.items() if isinstance(value, (str, int, NoneType))}
        told |= {name: value for name, value in plain.items() if name not in of_resources}
    return told


def _properties(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterator[Property]:
    before, after = dict(_flat(old)), dict(_flat(new))
    for name in dict.fromkeys((*after, *before)):
        if before.get(name) != after.get(name):
            was, now = all_shown(before.get(name)), all_shown(after.get(name))
            if was != now:
                yield Property(name, was, now)
            else:  # the same secrets, encrypted anew or used in another way
                was, now = (digest_of(each.get(name))[:12] for each in (before, after))
                yield Property(f"digest of {name}", was, now)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, JSON]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", list(value) if isinstance(value, tuple) else value
