"""Hosts, groups and their variables, from a hosts file, group_vars/ and host_vars/.

``as_list`` and ``as_host`` return the documents that ``ansible-inventory --list`` and ``--host`` print.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from agent.domain.fault import Fault
from agent.domain.sealed import is_sealed, shown
from agent.domain.text import printable
from agent.errors import InventoryError, UsageError
from agent.inventory.ansible import patterns
from agent.inventory.ansible.groups import ALL, HostGroups, Variables
from agent.inventory.ansible.hosts_ini import is_yaml, read_ini
from agent.inventory.ansible.hosts_yaml import read_hosts
from agent.inventory.ansible.vars import GROUP_VARS, HOST_VARS, VarsFiles
from agent.inventory.complaint import Complaints, ComplaintsError, nearest
from agent.inventory.source import HOSTS_FILES, Source
from agent.problems import ProblemKind
from agent.system.document import Node, Unsafe, Value, key_text, plain

Document = None | bool | int | float | str | list["Document"] | dict[str, "Document"]
"""JSON to print. It may hold floats, unlike the JSON that digests are made of."""

_INI = re.compile(rb"(\s*([#;].*)?\n)*\[[\w.-]+(:\w+)?\]\s*\n")

_ANSIBLE_OWN = re.compile(
    r"""
    group_names | groups | hostvars | play_hosts | playbook_dir | inventory_(dir|file|hostname|hostname_short)
    | role_(name|names|path|uuid)
    | ansible_(async_path|collection_name|config_file|dependent_role_names|diff_mode|facts|forks|inventory_sources)
    | ansible_(limit|play_batch|play_hosts|play_hosts_all|play_role_names|playbook_python|role_name|role_names|run_tags)
    | ansible_(skip_tags|verbosity|version)
    """,
    re.VERBOSE,
)
"""Names that Ansible sets itself; ansible-inventory prints none of them, not even one that a file sets."""


class Inventory:
    """The hosts of one inventory and their variables, templates not rendered.

    ``complete`` is False when the hosts file has mistakes: then names may be missing.
    """

    def __init__(
        self,
        groups: HostGroups,
        group_vars: Mapping[str, Variables],
        host_vars: Callable[[str], Variables],
        *,
        complete: bool = True,
    ) -> None:
        """``group_vars``: variables by group, without groups whose files have mistakes."""
        self.complete = complete
        self._groups = groups
        self._group_vars = group_vars
        self._host_vars = host_vars
        self._plain: dict[int, Value] = {}
        self._matches: dict[str, tuple[str, ...]] = {}
        self.hosts = tuple(groups.hosts)
        self.groups: dict[str, tuple[str, ...]] = {name: groups.members(name) for name in groups.groups}

    def variables(self, host: str) -> Variables:
        """The variables of ``host`` with positions, by Ansible's precedence: hosts file (``all``, then groups from the
        outermost in), group_vars/ in the same order, the host's own, host_vars/. Raises InventoryError."""
        self.require(host)
        groups = self._groups.groups
        lineage = self._groups.lineage(host)
        merged = dict(groups[ALL].variables)
        for group in lineage:
            merged |= group.variables
        for name in (ALL, *(group.name for group in lineage)):
            merged |= self._group_vars.get(name, {})
        return merged | self._groups.hosts[host].variables | self._host_vars(host)

    def knows(self, host: str) -> bool:
        """True if every file about ``host`` could be read, apart from host_vars/. Files there are read on demand,
        because there are as many as hosts."""
        groups = (ALL, *(group.name for group in self._groups.lineage(host)))
        return self.complete and all(group in self._group_vars for group in groups)

    def vars(self, host: str) -> dict[str, Value]:
        """``variables`` as plain values. Hosts share parts of them: do not change them."""
        return {name: self._value(node) for name, node in self.variables(host).items()}

    def group_names(self, host: str) -> tuple[str, ...]:
        """The groups of ``host`` but ``all``, sorted. Raises InventoryError."""
        self.require(host)
        return tuple(sorted(group.name for group in self._groups.lineage(host)))

    def lineage(self, host: str) -> tuple[str, ...]:
        """The groups of ``host`` but ``all``, in the order in which their variables override each other. Raises
        InventoryError."""
        self.require(host)
        return tuple(group.name for group in self._groups.lineage(host))

    def match(self, pattern: str) -> tuple[str, ...]:
        """The hosts that a host pattern matches, in inventory order. Raises Mistake for a malformed pattern."""
        if pattern not in self._matches:
            self._matches[pattern] = patterns.match(pattern, self._groups)
        return self._matches[pattern]

    def unknown_names(self, pattern: str) -> tuple[Fault, ...]:
        """A fault for each plain name in ``pattern`` that is neither a group nor a host. Empty where the inventory is
        not complete."""
        otherwise, known = "add the group to the hosts file, even if it is empty", (*self.groups, *self.hosts)
        return tuple(
            Fault(f'no group or host is called "{name}"', nearest(name, known, otherwise=otherwise))
            for name in (patterns.unknown_names(pattern, self._groups) if self.complete else ())
        )

    def require(self, host: str) -> None:
        """Raise InventoryError (``host-unknown``) unless ``host`` is the full name of a host."""
        if host not in self._groups.hosts:
            hint = nearest(host, self.hosts, otherwise="add it to the hosts file, with its full name")
            raise InventoryError(
                f'there is no host "{host}" in the inventory', hint=hint, kind=ProblemKind.HOST_UNKNOWN
            )

    def as_host(self, host: str) -> dict[str, Document]:
        """The document that ``ansible-inventory --host`` prints."""
        return self._as_host(host, marked=False)

    def _as_host(self, host: str, *, marked: bool) -> dict[str, Document]:
        values = self.vars(host).items()
        return {name: _document(value, marked=marked) for name, value in values if not _ANSIBLE_OWN.fullmatch(name)}

    def as_list(self) -> dict[str, Document]:
        """The document that ``ansible-inventory --list`` prints."""
        document: dict[str, Document] = {}
        for name, group in self._groups.groups.items():
            hosts: Document = [] if name == ALL else list(group.hosts)
            children: Document = list(group.children)
            if hosts or children:
                parts = {"hosts": hosts, "children": children}
                document[name] = {key: part for key, part in parts.items() if part}
        hosts_own = ((host, self._as_host(host, marked=True)) for host in self.hosts)
        hostvars: dict[str, Document] = {host: values for host, values in hosts_own if values}
        return document | {"_meta": {"hostvars": hostvars, "profile": "inventory_legacy"}}

    def _value(self, node: Node) -> Value:
        # Nodes live as long as the groups do, so their ids are theirs alone.
        if id(node) not in self._plain:
            self._plain[id(node)] = plain(node)
        return self._plain[id(node)]


def require_names(pattern: str, inventories: Sequence[Inventory]) -> None:
    """Raise UsageError for a plain name in ``pattern`` that is neither a group nor a host of any of ``inventories``."""
    first, *others = (inventory.unknown_names(pattern) for inventory in inventories)
    for fault in first:
        if all(fault.problem in {other.problem for other in faults} for faults in others):
            raise UsageError(f'"{printable(pattern)}": {printable(fault.problem)}', hint=fault.remedy)


def read_inventory(source: Source, complaints: Complaints) -> Inventory:
    """The hosts and variables of one inventory folder; what is wrong goes to ``complaints``."""
    hosts_complaints = Complaints()
    groups = read_groups(source, hosts_complaints)
    complaints.include(hosts_complaints)
    group_files, host_files = VarsFiles(source, GROUP_VARS), VarsFiles(source, HOST_VARS)
    group_vars: dict[str, Variables] = {}
    for name in groups.groups:
        try:
            group_vars[name] = group_files.variables(name)
        except ComplaintsError as error:
            complaints.take(error)
    return Inventory(groups, group_vars, cache(host_files.variables), complete=not hosts_complaints)


def complain_of_unread(source: Source, inventory: Inventory, complaints: Complaints) -> None:
    """Complain of files in group_vars/ and host_vars/ that nobody reads, such as those whose name is no group or host.
    Skipped where the inventory is not complete."""
    if inventory.complete:
        groups, hosts = frozenset(inventory.groups), frozenset(inventory.hosts)
        VarsFiles(source, GROUP_VARS).complain_of_unread(groups, "group", (HOST_VARS, hosts), complaints)
        VarsFiles(source, HOST_VARS).complain_of_unread(hosts, "host", (GROUP_VARS, groups), complaints)


def read_host_names(source: Source) -> frozenset[str] | None:
    """The names of all hosts, variables not read. None when the hosts file has mistakes."""
    complaints = Complaints()
    groups = read_groups(source, complaints)
    return None if complaints else frozenset(groups.hosts)


def read_groups(source: Source, complaints: Complaints) -> HostGroups:
    """The hosts and groups of the hosts file; files of variables are not read. Mistakes go to ``complaints``."""
    found = [name for name in HOSTS_FILES if source.has(name)]
    if not found:
        odd = next((name for name in HOSTS_FILES if name in source.tree.names(source.folder)), HOSTS_FILES[0])
        said = source.missing(odd, "hosts file", "begin with `all: {hosts: {…}}`")
        complaints.add(source.position(odd), (), *said)
        return HostGroups(source.folder)
    for other in found[1:]:
        complaints.add(source.position(other), (), f"{found[0]} says who already", "keep one of the two")
    file = source.position(found[0]).file
    if source.entry(found[0]).executable and "." not in found[0]:
        complaints.add(source.position(found[0]), (), "inventory scripts are not run", "write the hosts down")
        return HostGroups(file)
    if found[0] == "hosts.ini" or (found[0] == "hosts" and not _is_yaml(source)):
        return read_ini(source.content(found[0], complaints) or b"", file, complaints)
    content = source.content(found[0], complaints)
    if content is not None and _INI.match(content):
        complaints.add(source.position(found[0]), (), "this is INI, not YAML", "call the file hosts.ini")
        return HostGroups(file)
    root = source.read(found[0], complaints) if content is not None else None
    return HostGroups(file) if root is None else read_hosts(root, file, complaints)


def _is_yaml(source: Source) -> bool:
    """True if the file ``hosts`` is YAML. Ansible tries YAML first, then INI."""
    content = source.content("hosts", Complaints()) or b""
    return is_yaml(content.decode("utf-8-sig", errors="replace"))


def _document(value: Value, *, marked: bool) -> Document:
    """``value`` as JSON: keys are strings. ``marked``: each ``!unsafe`` text as `ansible-inventory --list` has it."""
    if isinstance(value, dict):
        return {key_text(key): _document(item, marked=marked) for key, item in value.items()}
    if isinstance(value, list):
        return [_document(item, marked=marked) for item in value]
    if isinstance(value, str) and is_sealed(value):
        return shown(value)
    return {"__ansible_unsafe": str(value)} if marked and isinstance(value, Unsafe) else value
