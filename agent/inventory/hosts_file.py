"""The text of a hosts file with a host added to a group, or removed from all groups. Comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.system import yaml
from agent.system.document import Key, Map, Node, Position, Scalar, plain

_EMPTY = re.compile(r"(?P<key>\s*hosts:)\s*(\{\s*\}|null|~)?(?P<comment>\s*(#.*)?)")


def with_host(text: str, group: str, host: str) -> str | None:
    """The YAML hosts file ``text`` with ``host`` in ``group``. None where a person has to write it: there is no such
    group with a key ``hosts``, or its hosts are not written one a line. Raises YamlError."""
    node = yaml.load(text.encode(), "hosts.yaml")
    found = _group(node, group)
    if found is None or "hosts" not in found.values:
        return None
    hosts, lines = found.values["hosts"], text.splitlines(keepends=True)
    line_end = "\r\n" if "\r\n" in text else "\n"
    at = found.keys["hosts"]
    if isinstance(hosts, Map) and hosts.keys:
        last = max(hosts.keys.values(), key=lambda position: position.line)
        columns = {position.column for position in hosts.keys.values()}
        place, indent = _end(lines, last.line, last.column - 1), last.column - 1
        if len(columns) != 1 or last.line == at.line:
            return None
    elif empty := _EMPTY.fullmatch(lines[at.line - 1].rstrip("\r\n")):
        lines[at.line - 1] = f"{empty['key']}{empty['comment']}{line_end}"
        place, indent = at.line, at.column - 1 + 2
    else:
        return None
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += line_end
    written = "".join([*lines[:place], f"{' ' * indent}{key_of(host)}:{line_end}", *lines[place:]])
    return written if _same_but(node, yaml.load(written.encode(), "hosts.yaml"), group, host) else None


def key_of(host: str) -> str:
    """The host's name as a key of a YAML mapping: in quotes where YAML would read a number, true or null."""
    node = yaml.load(host.encode(), "hosts.yaml")
    return host if isinstance(node, Scalar) and isinstance(node.value, str) and node.value == host else f"'{host}'"


def without_host(text: str, host: str) -> str | None:
    """The YAML hosts file ``text`` without ``host``. None where a person has to remove it: no group has exactly this
    name (a range may hold it), its entry is not a line of its own, or its value has an anchor that another place uses.
    Raises YamlError."""
    node, lines = yaml.load(text.encode(), "hosts.yaml"), text.splitlines(keepends=True)
    places = sorted({key.line for key in _keys(node, host)}, reverse=True)
    for line in places:
        if not re.match(rf"\s*[\"']?{re.escape(host)}[\"']?\s*:", lines[line - 1]):
            return None
        indent = len(lines[line - 1]) - len(lines[line - 1].lstrip(" "))
        del lines[line - 1 : _end(lines, line, indent)]
    written = "".join(lines)
    try:
        after = yaml.load(written.encode(), "hosts.yaml")
    except yaml.YamlError:
        return None  # another place uses an anchor of the host's value: `*anchor`
    same = node is not None and after is not None and _without(plain(after), host) == _without(plain(node), host)
    return written if places and same and not _keys(after, host) else None


def _groups(node: Node | None) -> Iterator[tuple[Key, Map]]:
    """Each group that is a mapping, with its name: those at the top and all below them."""
    for name, group in node.values.items() if isinstance(node, Map) else ():
        if isinstance(group, Map):
            yield name, group
            yield from _groups(group.values.get("children"))


def _group(node: Node | None, name: str) -> Map | None:
    return next((group for each, group in _groups(node) if each == name), None)


def _keys(node: Node | None, host: str) -> list[Position]:
    """The positions of ``host`` among the hosts of all groups."""
    hosts = (group.values.get("hosts") for _, group in _groups(node))
    return [each.keys[host] for each in hosts if isinstance(each, Map) and host in each.keys]


def _end(lines: list[str], line: int, indent: int) -> int:
    """The number of lines up to the end of the entry that begins in ``line`` (from 1)."""
    end = line
    for number, text in enumerate(lines[line:], line + 1):
        if text.strip() and len(text) - len(text.lstrip(" ")) <= indent:
            break
        if text.strip():
            end = number
    return end


def _same_but(before: Node | None, after: Node | None, group: str, host: str) -> bool:
    """True if ``after`` is ``before`` with ``host`` added to ``group``, and nothing else."""
    if before is None or after is None:
        return False
    found = _group(after, group)
    hosts = found.values.get("hosts") if found is not None else None
    if not isinstance(hosts, Map) or host not in hosts.values or not isinstance(hosts.values[host], Scalar):
        return False
    if len(_keys(after, host)) != len(_keys(before, host)) + 1:
        return False  # the hosts of several groups are one mapping, by an anchor
    return bool(_without(plain(after), host) == _without(plain(before), host))


def _without(value: Any, host: str) -> Any:
    """``value`` without the key ``host`` at any depth. None stands in place of an empty mapping."""
    if not isinstance(value, Mapping):
        return value
    return {key: _without(inner, host) for key, inner in value.items() if key != host} or None
