"""Ansible's INI inventory grammar: turns ``hosts.ini`` into groups and hosts.

Sections are ``[group]``, ``[group:children]`` and ``[group:vars]``; hosts before the first section are ungrouped.
Values are Python literals where they read as such, else text. A group may be named before its section comes.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings

from agent.domain.merge_conflict import MERGE_CONFLICT, conflict_line
from agent.domain.text import not_utf8
from agent.inventory.ansible.groups import UNGROUPED, HostGroups
from agent.inventory.ansible.hosts_yaml import GROUP_GRAMMAR, HostsReader
from agent.inventory.complaint import Complaints, nearest
from agent.system.document import Key, List, Map, Node, Position, Scalar

LITERAL_LIMIT = 10_000
"""The most characters of a value that is tried as a Python literal; the parser's memory grows with them."""

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_YAML = re.compile(r"""---(\s|$)|["']?[\w.-]+["']?:(\s|$)|\{""")
_NAME = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_KINDS = ("hosts", "children", "vars")


def read_ini(content: bytes, file: str, complaints: Complaints) -> HostGroups:
    """The groups of an INI hosts file. Mistakes go to ``complaints``."""
    reader = _Reader(file, complaints)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        complaints.add(Position(file, content.count(b"\n", 0, error.start) + 1, 1), (), *not_utf8(content))
        lines = []
    if (wrong := _other(lines)) is not None:
        number, problem, remedy = wrong
        complaints.add(Position(file, number, 1), (), problem, remedy)
        return reader.finish()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and text[0] not in "#;":
            reader.read_line(text, Position(file, number, line.index(text[0]) + 1))
    return reader.finish()


def is_yaml(text: str) -> bool:
    """True if the text was meant as YAML: its first line with content is a key, or begins a document."""
    return (
        _YAML.match(next((line for line in text.splitlines() if line.strip() and line.strip()[0] not in "#;"), ""))
        is not None
    )


def _other(lines: list[str]) -> tuple[int, str, str] | None:
    """Line, problem and remedy for a text that is not INI; None for INI."""
    if is_yaml("\n".join(lines)):
        return 1, "this is YAML, not INI", "call the file hosts.yaml"
    line = conflict_line("\n".join(lines))
    return (line, *MERGE_CONFLICT) if line is not None else None


class _Reader(HostsReader):
    def __init__(self, file: str, complaints: Complaints) -> None:
        super().__init__(file, complaints)
        self._heading = UNGROUPED
        self._kind = "hosts"
        self._declared = {"all", UNGROUPED}
        self._mentioned: dict[str, Position] = {}
        """Groups that so far have only been named as a child or given variables."""
        self._children: list[tuple[str, str, Position]] = []

    def read_line(self, text: str, position: Position) -> None:
        if found := _SECTION.fullmatch(text):
            self._begin(found[1], found[2] or "hosts", position)
        elif text.startswith("[") and text.endswith("]") and text.count(":") < 2:
            self.complaints.add(
                position, (), f"{text} is not a section", "write [group], [group:vars] or [group:children]"
            )
        elif re.fullmatch(r"\[[\w.-]+(:\w+)?", text):
            self.complaints.add(position, (), "the [ of this section is never closed", f"write {text}]")
        elif self._kind not in _KINDS:
            return
        elif self._kind == "hosts":
            self._host(text, position)
        elif self._kind == "vars":
            name, sign, value = text.partition("=")
            if sign and (group := self.group(self._heading, position, ())):
                self.group_variable(group, name.strip(), _value(value.strip(), position), position, ())
            elif not sign:
                self.complaints.add(position, (), "a variable is expected here", "write name=value")
        elif found := _NAME.fullmatch(text):
            self._children.append((self._heading, found[1], position))
            self._mention(found[1], position)
        else:
            self.complaints.add(position, (), f'"{text}" is not a group name', GROUP_GRAMMAR)

    def finish(self) -> HostGroups:
        for name, position in self._mentioned.items():
            if name not in self._declared:
                self.complaints.add(position, (), f"there is no section for the group {name}", f"write [{name}]")
        return super().finish()

    def _begin(self, name: str, kind: str, position: Position) -> None:
        self._heading, self._kind = name, kind
        if kind not in _KINDS:
            remedy = nearest(kind, _KINDS, otherwise=f"write [{name}], [{name}:children] or [{name}:vars]")
            self.complaints.add(position, (), f'there is no kind of section "{kind}"', remedy)
        self.group(name, position, ())
        if kind == "vars":
            self._mention(name, position)
        else:
            self._declared.add(name)
            self._adopt(name)

    def _mention(self, name: str, position: Position) -> None:
        self._mentioned.setdefault(name, position)
        if name in self.groups.groups:
            self._adopt(name)

    def _adopt(self, name: str) -> None:
        """Make a group the child of the groups that named it before it was defined."""
        waiting, self._children = self._children, []
        for parent, child, position in waiting:
            group = self.groups.groups.get(parent)
            if child == name and group is not None:
                self.child(group, child, position, ())
            else:
                self._children.append((parent, child, position))

    def _host(self, text: str, position: Position) -> None:
        try:
            name, *assignments = shlex.split(text, comments=True)
        except ValueError:
            self.complaints.add(position, (), "a quote in this line is never closed", "close it")
            return
        if "=" in assignments or any(word.startswith("=") or word.endswith("=") for word in assignments[:2]):
            self.complaints.add(position, (), "blanks stand around a =", "write name=value, without them")
            return
        group = self.group(self._heading, position, ())
        hosts = self.hosts(name, group, position, ()) if group else []
        for assignment in assignments:
            key, sign, value = assignment.partition("=")
            if not sign:
                self.complaints.add(position, (), f'"{assignment}" is not a variable', "write name=value")
                continue
            for host in hosts:
                host.variables[key] = _value(value, position)


def _value(text: str, position: Position) -> Node:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            value: object = ast.literal_eval(text) if len(text) <= LITERAL_LIMIT else text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    return _node(value, position)


def _node(value: object, position: Position) -> Node:
    if isinstance(value, (list, tuple, set)):
        return List(tuple(_node(item, position) for item in value), position)
    if isinstance(value, dict):
        keys = {_key(key): _node(item, position) for key, item in value.items()}
        return Map(keys, dict.fromkeys(keys, position), position)
    return Scalar(_key(value), position)


def _key(value: object) -> Key:
    """``value`` where a scalar of YAML can have it, else its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "..." if value is ... else str(value)
