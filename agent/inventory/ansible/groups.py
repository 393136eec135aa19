"""Groups and hosts as Ansible relates them: parents, depths, order and variables.

The depth of a group is its longest way from ``all``. The hosts of a group are its own, then level by level the hosts of
its children. A host without a group is in ``ungrouped``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from agent.domain.fault import Mistake
from agent.system.document import Node, Position

ALL = "all"
UNGROUPED = "ungrouped"

Variables = dict[str, Node]
"""The values of variables by name, as nodes with their positions."""


@dataclass(slots=True)
class HostGroup:
    """A group of hosts. ``hosts`` and ``children`` are in order of first mention; ``priority`` is
    ``ansible_group_priority``."""

    name: str
    position: Position
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    parents: dict[str, None] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    priority: int = 1


@dataclass(slots=True)
class Host:
    """A host. ``groups``: the groups that name it. ``variables``: its variables in the hosts file."""

    name: str
    position: Position
    groups: dict[str, None] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)


class HostGroups:
    """All groups and hosts. A reader adds them one by one and then calls ``close`` once."""

    def __init__(self, file: str) -> None:
        self.groups: dict[str, HostGroup] = {}
        self.hosts: dict[str, Host] = {}
        self._depths: dict[str, int] = {}
        for name in (ALL, UNGROUPED):
            self.add_group(name, Position(file))
        self.add_child(ALL, UNGROUPED)

    def add_group(self, name: str, position: Position) -> HostGroup:
        return self.groups.setdefault(name, HostGroup(name, position))

    def add_child(self, parent: str, child: str) -> None:
        """Make ``child`` a child of ``parent``. Raises Mistake when a group would contain itself."""
        if parent == child or child in self._ancestors(parent):
            raise Mistake(
                f'"{child}" contains "{parent}", so it cannot be a child of it', "groups cannot contain each other"
            )
        self.groups[parent].children[child] = None
        self.groups[child].parents[parent] = None

    def add_host(self, name: str, group: str, position: Position) -> Host:
        host = self.hosts.setdefault(name, Host(name, position))
        host.groups[group] = None
        self.groups[group].hosts[name] = None
        return host

    def close(self) -> None:
        """Put every group without a parent under ``all`` and every host without a group under ``ungrouped``."""
        for group in list(self.groups.values()):
            if group.name != ALL and not group.parents:
                self.add_child(ALL, group.name)
        for host in self.hosts.values():
            grouped = any(name not in (ALL, UNGROUPED) for name in host.groups)
            if grouped and UNGROUPED in host.groups:
                del host.groups[UNGROUPED]
                del self.groups[UNGROUPED].hosts[host.name]
            elif not grouped and UNGROUPED not in host.groups:
                self.add_host(host.name, UNGROUPED, host.position)
        self._measure()

    def lineage(self, host: str) -> tuple[HostGroup, ...]:
        """All groups of ``host`` but ``all``, in the order in which their variables override each other."""
        names = {name for group in self.hosts[host].groups for name in (group, *self._ancestors(group))} - {ALL}
        return tuple(sorted((self.groups[name] for name in names), key=self._rank))

    def members(self, group: str) -> tuple[str, ...]:
        """The hosts of ``group`` and of all groups below it."""
        names: dict[str, None] = {}
        level = {group: None}
        seen: set[str] = set()
        while level:
            seen.update(level)
            for name in level:
                names.update(self.groups[name].hosts)
            level = {child: None for name in level for child in self.groups[name].children if child not in seen}
        return tuple(names)

    def _rank(self, group: HostGroup) -> tuple[int, int, str]:
        return self._depths[group.name], group.priority, group.name

    def _measure(self) -> None:
        """Compute the depth of every group. Parents come before children."""
        for name in TopologicalSorter({group.name: group.parents for group in self.groups.values()}).static_order():
            parents = self.groups[name].parents
            self._depths[name] = max((self._depths[parent] + 1 for parent in parents), default=0)

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = list(self.groups[name].parents)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting.extend(self.groups[parent].parents)
        return found
