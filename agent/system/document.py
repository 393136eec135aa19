"""The values of a YAML file, each with its position: the result of ``system.yaml``. Loads no PyYAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Key = str | int | float | bool | None
Value = Key | list["Value"] | dict[Key, "Value"]
"""A value of a file, without positions. A date is its ISO text."""


class Unsafe(str):
    """A string under the tag ``!unsafe``: never a template."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    value: Key
    position: Position


@dataclass(frozen=True, slots=True, eq=False)
class List:
    items: tuple[Node, ...]
    position: Position


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A mapping: the ``values`` by key, and the positions of the ``keys``. Merge keys are resolved."""

    values: Mapping[Key, Node]
    keys: Mapping[Key, Position]
    position: Position


Node = Scalar | List | Map


def key_text(key: Key) -> str:
    """A key as JSON has it: ``true``, ``null``, ``80``."""
    return key if isinstance(key, str) else json.dumps(key)


def plain(node: Node) -> Value:
    """``node`` without positions."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, List):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.values.items()}


def path_at(node: Node, position: Position) -> tuple[str | int, ...] | None:
    """The path of the value in ``node`` that begins at ``position`` and is no collection; None where there is none."""
    if isinstance(node, Scalar):
        return () if node.position == position else None
    items = enumerate(node.items) if isinstance(node, List) else ()
    named = ((key_text(key), inner) for key, inner in node.values.items()) if isinstance(node, Map) else ()
    ways = ((part, path_at(inner, position)) for part, inner in (*items, *named))
    return next(((part, *below) for part, below in ways if below is not None), None)


def locate(node: Node, path: Sequence[str | int]) -> Position:
    """The position of the value at ``path``, or of the last part of it that exists. The position of an entry of a
    mapping is that of its key."""
    position = node.position
    for part in path:
        if isinstance(node, Map) and part in node.values:
            position, node = node.keys[part], node.values[part]
        elif isinstance(node, List) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            position = node.position
    return position
