"""Ansible's YAML inventory grammar: turns ``hosts.yaml`` into groups and hosts.

Whatever Ansible accepts means here what it means there. What Ansible skips with a warning (unknown keys, groups that
are not mappings) or takes two ways (a name that is a host and a group) is a complaint.
"""

from __future__ import annotations

import re

from agent.domain.fault import KeyPath
from agent.inventory.ansible.groups import ALL, UNGROUPED, Host, HostGroup, HostGroups
from agent.inventory.ansible.ranges import expand
from agent.inventory.complaint import Complaints, unknown_key
from agent.system.document import Key, Map, Node, Position, Scalar, key_text

GROUP = re.compile(r"[\w][\w.-]*")
GROUP_GRAMMAR = "a group name consists of letters, digits, _ - and ."
PRIORITY = "ansible_group_priority"

_SECTIONS = ("hosts", "children", "vars")


def read_hosts(root: Node, file: str, complaints: Complaints) -> HostGroups:
    """The groups of a YAML hosts file. Mistakes go to ``complaints``."""
    reader = HostsReader(file, complaints)
    if isinstance(root, Map) and "plugin" in root.values:
        complaints.add(root.keys["plugin"], ("plugin",), "inventory plugins are not run", "write the hosts down")
    elif isinstance(root, Map) and root.values:
        for name in root.values:
            reader.read_group(name, root, ())
    else:
        complaints.add(root.position, (), "no groups in here", "begin with `all:` and `hosts:` below it")
    return reader.finish()


class HostsReader:
    """The reader of a hosts file, which collects groups, hosts and variables, and complains of mistakes. Both grammars,
    YAML and INI, use it."""

    def __init__(self, file: str, complaints: Complaints) -> None:
        self.groups = HostGroups(file)
        self.complaints = complaints

    def read_group(self, key: Key, parent: Map, path: KeyPath) -> HostGroup | None:
        path = (*path, str(key))
        position, node = parent.keys[key], parent.values[key]
        group = self.group(key, position, path)
        if group is None or (isinstance(node, Scalar) and node.value is None):
            return group
        if not isinstance(node, Map):
            self.complaints.add(position, path, "a group is a mapping", f"with {', '.join(_SECTIONS)}")
            return group
        for section in node.values:
            if section not in _SECTIONS:
                self.complaints.add(node.keys[section], path, *unknown_key(section, _SECTIONS))
            elif (entries := self._section(node, section, path)) is not None:
                self._read_section(group, str(section), entries, (*path, str(section)))
        return group

    def _section(self, node: Map, section: Key, path: KeyPath) -> Map | None:
        value = node.values[section]
        if isinstance(value, Map) or (isinstance(value, Scalar) and value.value is None):
            return value if isinstance(value, Map) else None
        if section != "vars" and isinstance(value, Scalar) and isinstance(value.value, str):
            nothing = Scalar(None, value.position)
            return Map({value.value: nothing}, {value.value: value.position}, value.position)
        remedy = "end every name with a colon, without a dash" if section != "vars" else "write `name: value`"
        self.complaints.add(node.keys[section], (*path, str(section)), "a mapping is expected here", remedy)
        return None

    def _read_section(self, group: HostGroup, section: str, entries: Map, path: KeyPath) -> None:
        for key, value in entries.values.items():
            if section == "vars":
                self.group_variable(group, key, value, entries.keys[key], (*path, str(key)))
            elif section == "children":
                child = self.read_group(key, entries, path)
                if child is not None:
                    self.child(group, child.name, entries.keys[key], (*path, str(key)))
            else:
                self._read_hosts(group, key, entries, path)

    def _read_hosts(self, group: HostGroup, key: Key, entries: Map, path: KeyPath) -> None:
        position, value = entries.keys[key], entries.values[key]
        path = (*path, str(key))
        hosts = self.hosts(key, group, position, path)
        if isinstance(value, Map):
            for host in hosts:
                # As in Ansible a variable may have any name; templates reach an odd one by way of `hostvars`.
                host.variables.update({key_text(name): node for name, node in value.values.items()})
        elif not (isinstance(value, Scalar) and not value.value):
            self.complaints.add(position, path, "a host's variables are a mapping", "write `name: value` below it")

    def group(self, name: Key, position: Position, path: KeyPath) -> HostGroup | None:
        if not isinstance(name, str) or not GROUP.fullmatch(name):
            self.complaints.add(position, path, f'"{name}" is not a group name', GROUP_GRAMMAR)
            return None
        return self.groups.add_group(name, position)

    def child(self, group: HostGroup, child: str, position: Position, path: KeyPath) -> None:
        if group.name == UNGROUPED or (child == UNGROUPED and group.name != ALL):
            self.complaints.add(position, path, "ungrouped has no children and no parent but all", "leave it out")
            return
        with self.complaints.of(position, path):
            self.groups.add_child(group.name, child)

    def hosts(self, pattern: Key, group: HostGroup, position: Position, path: KeyPath) -> list[Host]:
        """The hosts that ``pattern`` names, added to ``group``. A port in the pattern becomes ``ansible_port``."""
        if not isinstance(pattern, str):
            self.complaints.add(position, path, "a host name is a string", "put it in quotes")
            return []
        hosts = []
        with self.complaints.of(position, path):
            names, port = expand(pattern)
            for name in names:
                new = name not in self.groups.hosts
                hosts.append(self.groups.add_host(name, group.name, position))
                if new and port:
                    hosts[-1].variables["ansible_port"] = Scalar(port, position)
        return hosts

    def group_variable(self, group: HostGroup, name: Key, node: Node, position: Position, path: KeyPath) -> None:
        if name != PRIORITY:
            group.variables[key_text(name)] = node
            return
        try:
            group.priority = int(str(node.value)) if isinstance(node, Scalar) else int("")
        except ValueError:
            self.complaints.add(position, path, "the priority of a group is a whole number", "write one, such as 10")

    def finish(self) -> HostGroups:
        for name in self.groups.groups.keys() & self.groups.hosts.keys():
            position = self.groups.hosts[name].position
            self.complaints.add(position, (), f'"{name}" is both a host and a group', "rename one of them")
        self.groups.close()
        return self.groups
