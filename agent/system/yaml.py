"""The one reader of YAML: text turned into values, each with its position.

It reads YAML 1.1 as PyYAML's safe loader and Ansible do (``yes`` is true, ``1:30`` is 90, merge keys work), without
parts that have no place in a configuration: binary, sets, foreign tags, keys that are collections. The reader takes
parser events and has a stack of its own, so that depth, size and the expansion of aliases are bounded, and every input
ends in a value or a ``YamlError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NoReturn

import yaml

from agent.domain.sealed import is_sealed
from agent.domain.text import escaped, not_utf8
from agent.errors import InventoryError
from agent.problems import ProblemKind
from agent.system.document import Key, List, Map, Node, Position, Scalar, Unsafe, Value
from agent.system.yaml_scalars import SCALARS, constructed, core_value, implied
from agent.system.yaml_words import BRACES, ParserStop, YamlProblem, explain, foreign_tag, twice

SIZE_LIMIT = 8 * 1024 * 1024
"""Bytes of one file; an inventory of 10,000 hosts takes about one MiB."""

DEPTH_LIMIT = 64
"""Collections inside each other; people stop at ten."""

NODE_LIMIT = 1_000_000
"""Values of one file with every alias written out, a bound against the "billion laughs"."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_LIST_TAGS = (None, "!", _TAG + "seq")
_MAP_TAGS = (None, "!", _TAG + "map")
_Mark = Any
"""A mark of libyaml or of PyYAML, by which of them parses; both have ``line`` and ``column`` from 0."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN: re.Pattern[str] = yaml.reader.Reader.NON_PRINTABLE


class _MergeKey(Scalar):
    """A plain ``<<``."""

    __slots__ = ()


class YamlError(InventoryError):
    """A file that cannot be read. ``problems``: all that were found before the reader gave up."""

    def __init__(self, problems: Iterable[YamlProblem]) -> None:
        self.problems = tuple(problems)
        lines = [escaped(f"{found.position}: {found.problem}") for found in self.problems]
        super().__init__("\n".join(lines), hint=self.problems[0].remedy, kind=ProblemKind.YAML, lines=lines)


def load(content: bytes, file: str, *, last_wins: bool = False, core: bool = False) -> Node | None:
    """The values of ``content``, with positions; None for an empty file. ``file``: its name in messages. ``last_wins``:
    a key may stand twice in one mapping, and the last one counts, as in Ansible. ``core``: plain scalars are read as
    programs in Go read them (YAML 1.2). Raises YamlError."""
    text = _text(content, file)
    reader = _Reader(file, last_wins=last_wins, core=core)
    try:
        return reader.read(text)
    except yaml.YAMLError as error:
        problems = dict.fromkeys([*reader.problems, reader.problem(error, text)])
        raise YamlError(problems) from error


def dump(value: Value) -> str:
    """``value`` as YAML text in block style, keys in their order. Raises TypeError unless it is plain data."""
    try:
        text: str = yaml.dump(
            value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
        )
    except yaml.YAMLError as error:
        raise TypeError(f"not plain data: {error}") from error
    return text


def dump_as(value: Value, **options: Any) -> str:
    """``value`` as YAML text in PyYAML's own style. ``options``: those of ``yaml.dump``. Raises TypeError for an
    unknown option."""
    text: str = yaml.dump(value, Dumper=yaml.SafeDumper, allow_unicode=True, **options)
    # PyYAML ends a document that is one plain text with "...", libyaml and Ansible do not.
    return text[: -len("...\n")] if text.endswith("\n...\n") else text


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, but with text of several lines as a block, and text with characters that other styles lose, such
    as U+0085, in double quotes."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        fragile = any(not character.isprintable() and character != "\n" for character in text)
        return self.represent_scalar(_TAG + "str", text, style='"' if fragile else "|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


@dataclass(slots=True)
class _Frame:
    """A collection that has begun and not ended. ``size``: its values, with aliases written out."""

    kind: type[List] | type[Map]
    position: Position
    anchor: str | None
    parts: list[Node]
    in_brackets: bool = False
    size: int = 1


class _Reader:
    def __init__(self, file: str, *, last_wins: bool, core: bool) -> None:
        self.problems: list[YamlProblem] = []
        self._file = file
        self._last_wins = last_wins
        self._core = core
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._frames: list[_Frame] = []
        self._root: Node | None = None
        self._json = False
        self._quote: tuple[Position, Position] | None = None

    def read(self, text: str) -> Node | None:
        self._json = _is_json(text)
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                place = self._position(event.start_mark)
                self._stop(place, "a second document begins here", "keep one document in a file")
            self._take(event)
        if self.problems:
            raise YamlError(self.problems)
        return self._root

    def problem(self, error: yaml.YAMLError, text: str) -> YamlProblem:
        """The meaning of ``error``, which ended ``read``, for the person who wrote ``text``."""
        mark: _Mark = getattr(error, "problem_mark", None)
        if mark is None:
            return _unreadable(error, self._file, text)
        began: _Mark = getattr(error, "context_mark", None)
        opened = [frame.position for frame in self._frames if frame.in_brackets]
        return explain(
            ParserStop(
                text,
                self._position(mark),
                f"{getattr(error, 'context', '')} {getattr(error, 'problem', '')}",
                began=self._position(began) if began is not None else None,
                opened=opened[-1] if opened else None,
                quote=self._quote,
            )
        )

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                if event.style in ("'", '"'):
                    self._quote = self._position(event.start_mark), self._position(event.end_mark)
                self._add(self._scalar(event), 1, event.anchor)
            case yaml.AliasEvent():
                node, size = self._anchored(event)
                self._add(node, size, None)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                frame = self._frames.pop()
                node = List(tuple(frame.parts), frame.position) if frame.kind is List else self._map(frame)
                self._add(node, frame.size, frame.anchor)

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        kind: type[List] | type[Map] = List if isinstance(event, yaml.SequenceStartEvent) else Map
        position = self._position(event.start_mark)
        if event.tag not in (_LIST_TAGS if kind is List else _MAP_TAGS):
            self._complain(position, *foreign_tag(event.tag))
        if len(self._frames) == DEPTH_LIMIT:
            self._stop(position, f"nested deeper than {DEPTH_LIMIT} levels", "write it flatter")
        self._frames.append(_Frame(kind, position, event.anchor, [], bool(event.flow_style)))

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._frames:
            self._root = node
            return
        frame = self._frames[-1]
        frame.parts.append(node)
        frame.size += size
        if frame.size > NODE_LIMIT:
            problem = f"more than {NODE_LIMIT} values once its aliases are written out"
            self._stop(node.position, problem, "name fewer anchors, or split the file")

    def _anchored(self, event: yaml.AliasEvent) -> tuple[Node, int]:
        if event.anchor is None or event.anchor not in self._anchors:
            problem = f"*{event.anchor} is an alias, and no anchor &{event.anchor} ends before it"
            remedy = f'put it in quotes if it is a text: "*{event.anchor}"'
            self._stop(self._position(event.start_mark), problem, remedy)
        return self._anchors[event.anchor]

    def _map(self, frame: _Frame) -> Map:
        merged: list[Map] = []
        values: dict[Key, Node] = {}
        keys: dict[Key, Position] = {}
        for key, value in zip(frame.parts[::2], frame.parts[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._complain(*self._collection_as_key(frame, key))
            elif isinstance(key, _MergeKey):
                merged.extend(self._merged(value, key.position))
            else:
                if key.value in values and not self._last_wins:
                    self._complain(key.position, *twice(key.value, keys))
                values[key.value], keys[key.value] = value, key.position
        # The mapping's own keys win over merged ones. Among merged mappings the first one wins.
        for other in merged:
            values = {**other.values, **values}
            keys = {**other.keys, **keys}
        return Map(MappingProxyType(values), MappingProxyType(keys), frame.position)

    def _collection_as_key(self, frame: _Frame, key: Node) -> tuple[Position, str, str]:
        if key.position == replace(frame.position, column=frame.position.column + 1):
            return frame.position, *BRACES
        return key.position, "a key cannot be a list or a mapping", "put it in quotes if it is a text"

    def _merged(self, value: Node, position: Position) -> Iterator[Map]:
        for node in value.items if isinstance(value, List) else (value,):
            if isinstance(node, Map):
                yield node
            else:
                remedy = "name the anchor of a mapping: <<: *name"
                self._complain(position, "<< takes a mapping or a list of mappings", remedy)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        position = self._position(event.start_mark)
        text: str = event.value
        if is_sealed(text):
            self._complain(position, "U+F8D0 stands for a secret inside of hostwright", "leave the character out")
        tag: str | None = event.tag if event.tag != "!" else None
        if tag is None:
            if not event.implicit[0]:
                return Scalar(text, position)
            if self._core:
                return Scalar(core_value(text), position)
            if self._json:
                return Scalar(json.loads(text), position)
            tag = implied(text)
            if not text and event.anchor is not None:
                remedy = f'write a value behind it, or "&{event.anchor}" if it is a text'
                self._complain(position, f"&{event.anchor} is an anchor, and nothing stands behind it", remedy)
        if tag == _MERGE:
            return _MergeKey(text, position)
        return Scalar(self._constructed(tag, text, position), position)

    def _constructed(self, tag: str | None, text: str, position: Position) -> Key:
        if tag == _TAG + "str":
            return text
        if tag == "!unsafe":
            return Unsafe(text)
        if tag not in SCALARS:
            self._complain(position, *foreign_tag(tag, text))
            return None
        try:
            return constructed(tag, text)
        except ValueError as error:
            self._complain(position, str(error), "correct it, or put it in quotes, without a tag")
        return None

    def _complain(self, position: Position, problem: str, remedy: str) -> None:
        self.problems.append(YamlProblem(position, problem, remedy))

    def _stop(self, position: Position, problem: str, remedy: str) -> NoReturn:
        raise YamlError([*self.problems, YamlProblem(position, problem, remedy)])

    def _position(self, mark: _Mark) -> Position:
        return Position(self._file, mark.line + 1, mark.column + 1)


def _text(content: bytes, file: str) -> str:
    if content.startswith(b"$ANSIBLE_VAULT"):
        remedy = "`hostwright secret import` in the config repo makes a secret of it"
        raise YamlError([YamlProblem(Position(file, 1, 1), "a file of Ansible Vault, which is not read here", remedy)])
    if len(content) > SIZE_LIMIT:
        raise YamlError([YamlProblem(Position(file), f"larger than {SIZE_LIMIT // 1024**2} MiB", "split it")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise YamlError([YamlProblem(Position(file, line, column), *not_utf8(content))]) from error


def _is_json(text: str) -> bool:
    """True if ``text`` is a list or mapping in JSON. Ansible reads it as JSON too: 1e5 is a number in JSON, but a
    string in YAML 1.1."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _unreadable(error: yaml.YAMLError, file: str, text: str) -> YamlProblem:
    """The problem of a file with a character that YAML does not allow anywhere."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return YamlProblem(Position(file), f"not YAML: {error}", "save it as plain text")
    line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
    problem = f"the character U+{ord(found[0]):04X} cannot stand in a file"
    return YamlProblem(Position(file, line, column), problem, 'remove it; in double quotes write it as "\\u…"')
