"""Host patterns as Ansible reads them: ``web:&production:!canary``, ``a,b``, ``~regex``, globs, ``web[0:2]``.

Commas or colons join patterns; plain ones are united first, then each ``&`` narrows, then each ``!`` takes away.
``localhost`` stands for the host called ``127.0.0.1`` where there is none of its own name, and the other way round.
A pattern without a plain part begins with all hosts. A name or glob stands for groups, and for hosts too where it is
a glob, a regex, holds a dot, or matches no group. ``[n]``, ``[a:b]`` pick from what the name matched, ends included.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

from agent.domain.fault import Mistake, compiled
from agent.domain.text import printable
from agent.inventory.ansible.groups import ALL, HostGroups

EXAMPLE = "write one like web:&production:!canary"

_PARTS = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9})[:-]([0-9]{0,9}))\]")
_PORT = re.compile(r"[^:,\[\]&!~]+:[0-9]+")
_LOCAL = ("localhost", "127.0.0.1")
_PLAIN = re.compile(r"[^~*?\[][^*?\[]*")


def match(pattern: str, groups: HostGroups) -> tuple[str, ...]:
    """The hosts that ``pattern`` matches, each once. Raises Mistake."""
    parts = split(pattern)
    chosen: dict[str, None] = {}
    for part in [part for part in parts if part[0] not in "&!"] or [ALL]:
        chosen.update(dict.fromkeys(_one(part, groups)))
    for part in parts:
        if part[0] == "&":
            kept = set(_one(part[1:], groups))
            chosen = {host: None for host in chosen if host in kept}
    for part in parts:
        if part[0] == "!":
            dropped = set(_one(part[1:], groups))
            chosen = {host: None for host in chosen if host not in dropped}
    return tuple(chosen)


def split(pattern: str) -> tuple[str, ...]:
    """The parts of ``pattern``. Raises Mistake when there is none, when nothing follows an ``&`` or ``!``, and for a
    template."""
    if "{{" in pattern or "{%" in pattern:
        raise Mistake("a host pattern is no template: it says which hosts, before there are values", EXAMPLE)
    if _PORT.fullmatch(pattern):
        raise Mistake(f'"{pattern}" looks like a host with a port', "join patterns with commas")
    found = pattern.split(",") if "," in pattern else _PARTS.findall(pattern)
    parts = tuple(_trimmed(part) for part in found if part.strip())
    if not parts or any(part in ("&", "!", "~", "&~", "!~") for part in parts):
        raise Mistake(f'"{pattern}" names no hosts', EXAMPLE)
    return parts


def unknown_names(pattern: str, groups: HostGroups) -> tuple[str, ...]:
    """Plain names in ``pattern`` (no globs, no regexes) that are neither a group nor a host."""
    names = [_subscript(part.lstrip("&!"))[0] for part in split(pattern)]
    return tuple(n for n in names if _PLAIN.fullmatch(n) and n not in groups.groups and not _hosts(n, groups))


def _one(part: str, groups: HostGroups) -> tuple[str, ...]:
    if hosts := _hosts(part, groups):
        return hosts
    name, pick = (part, None) if part[0] == "~" else _subscript(part)
    matches = _matcher(name)
    named = [group for group in groups.groups if matches(group)]
    found = [host for group in named for host in groups.members(group)]
    if not named or name[0] == "~" or any(special in name for special in ".?*["):
        found += [host for host in groups.hosts if matches(host)]
    return tuple(_picked(found, pick, part))


def _hosts(name: str, groups: HostGroups) -> tuple[str, ...]:
    """The host called ``name``; for a name of this machine also its other name."""
    names = (name, *_LOCAL) if name in _LOCAL else (name,)
    return tuple(each for each in names if each in groups.hosts)[:1]


def _matcher(name: str) -> Callable[[str], object]:
    pattern = name[1:] if name[0] == "~" else fnmatch.translate(name)
    return compiled(pattern, f'"{printable(name)}" is not a regular expression').match


def _subscript(part: str) -> tuple[str, tuple[int, int | None] | None]:
    """The name, and the subscript behind it: (n, None) for one host, (first, last) for several; last is -1 for an open
    end."""
    found = _SUBSCRIPT.fullmatch(part)
    if found is None:
        return part, None
    name, index, first, last = found.groups()
    return name, (int(index), None) if index is not None else (int(first), int(last or -1))


def _picked(hosts: Sequence[str], pick: tuple[int, int | None] | None, part: str) -> Sequence[str]:
    if not hosts or pick is None:
        return hosts
    first, last = pick
    if last:
        return hosts[first : len(hosts) if last == -1 else last + 1]
    try:
        return [hosts[first]]
    except IndexError:
        raise Mistake(f'"{part}": there are only {len(hosts)} hosts', "count from 0, or from the end with -1") from None


def _trimmed(part: str) -> str:
    part = part.strip()
    return part[0] + part[1:].strip() if part[0] in "&!" else part
