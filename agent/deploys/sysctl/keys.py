"""Kernel settings by name, and the file of ours that sets them at boot. Pure: names to paths, text to lines and back.

The format is sysctl.d(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.domain.fault import Mistake

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]*")
"""The name of one folder or file below /proc/sys: no pattern, nothing hidden."""

_SWAP = str.maketrans("./", "/.")
_LINE = re.compile(r"(?P<optional>-?)\s*(?P<key>[^=\s]+)\s*=\s*(?P<value>.*?)\s*")
_WAS = re.compile(r"# (?P<key>\S+) was (?P<value>.+)")

_HEADER = "# Managed by Hostwright: what is changed here by hand is put back. Edit the config repo.\n"


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting of the file. ``was``: the value that the kernel had before the line was first written, if that was
    another. ``optional``: True if nothing complains at boot about a kernel that does not have it."""

    value: str
    optional: bool = False
    was: str | None = None


def canonical(key: str) -> str:
    """The canonical name of a setting: ``net/ipv4/conf/eth0.1/forwarding`` as ``net.ipv4.conf.eth0/1.forwarding``.

    The first . or / in ``key`` is the separator of its parts; the other character stands for a dot inside a part
    (sysctl.d(5)). Raises ValueError for a text that is no name.
    """
    first = re.search(r"[./]", key)
    name = key.translate(_SWAP) if first and first[0] == "/" else key
    parts = name.translate(_SWAP).split("/")
    if len(parts) < 2 or not all(_PART.fullmatch(part) for part in parts):
        raise Mistake(f"{key!r} is not the name of a kernel setting", "write it as net.ipv4.ip_forward")
    return name


def path_below(key: str) -> str:
    """The path below /proc/sys of a canonical name."""
    return key.translate(_SWAP)


def normalised(value: str) -> str:
    """``value`` with single spaces between words: the kernel separates by tabs what people separate by spaces."""
    return " ".join(value.split())


def parsed(text: str) -> dict[str, SettingLine]:
    """The settings in the text of a file, by canonical name; of several lines with one name, the last. Patterns, and
    lines that set nothing, are passed over."""
    lines: dict[str, SettingLine] = {}
    was = values_before(text)
    for raw in text.splitlines():
        match = None if raw.lstrip().startswith(("#", ";")) else _LINE.fullmatch(raw.strip())
        if match is None:
            continue
        try:
            key = canonical(match["key"])
        except ValueError:
            continue
        lines[key] = SettingLine(normalised(match["value"]), bool(match["optional"]), was.get(key))
    return lines


def values_before(text: str) -> dict[str, str]:
    """The values that the kernel had before, as our file's text notes them, by name; also those of settings whose lines
    somebody took out."""
    return {note["key"]: note["value"] for raw in text.splitlines() if (note := _WAS.fullmatch(raw))}


def written(lines: Mapping[str, SettingLine]) -> str:
    """The text of our file, sorted by name; empty if there is nothing to set."""
    return _HEADER + "".join(_written(key, lines[key]) for key in sorted(lines)) if lines else ""


def said_last(files: Iterable[tuple[str, str]], key: str) -> tuple[str, str] | None:
    """The last of ``files`` (name and text, in the order of reading) that sets ``key``, and its value."""
    found = None
    for name, text in files:
        line = parsed(text).get(key)
        if line is not None:
            found = (name, line.value)
    return found


def _written(key: str, line: SettingLine) -> str:
    note = f"# {key} was {line.was}\n" if line.was else ""
    return f"{note}{'-' if line.optional else ''}{key} = {line.value}\n"
