"""Typed values to JSON and back: a dataclass is an object, read by the types of its fields.

A document that parses as JSON may still hold values of the wrong type: a failing disk or a person may have changed it.
Here such a value is refused at once, and not noticed much later. Standard library only: the webhook's service reads
with it, and has to stay small.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]
ValueCheck = Callable[[Any], None]

IN_DOCUMENTS = "in documents"
"""The key in a field's metadata of the name that documents have for it, where that is not its own: an earlier version
wrote it so, and may come back and read it."""

_WORDS = {str: "text", int: "a whole number", bool: "true or false"}
_SHOWN = 80

_JSON = json.JSONDecoder()
"""Its ``raw_decode`` takes a quarter less than ``json.loads`` for a small object, of which a ledger has thousands."""


class Mismatch(ValueError):
    """A value is not of the type that its place asks for. ``path``: the keys and indices that lead to the value."""

    def __init__(self, why: str, *path: str) -> None:
        super().__init__(why)
        self.why = why
        self.path = path

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.why}" if self.path else self.why


def encode(value: object, *, indent: int | None = None, defaults: bool = True) -> bytes:
    """``value`` as one JSON document with sorted keys and a line break at its end. ``defaults``: as in ``to_plain``."""
    return json.dumps(to_plain(value, defaults=defaults), indent=indent, sort_keys=True).encode() + b"\n"


def to_plain(value: Any, *, defaults: bool = True) -> Any:
    """``value`` as ``json.loads`` would give it. Without ``defaults``, fields at their default are left out."""
    kind: Any = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: to_plain(item, defaults=defaults) for key, item in value.items()}
    if isinstance(value, (list, tuple, frozenset)):
        return [to_plain(item, defaults=defaults) for item in (sorted(value) if kind is frozenset else value)]
    if not dataclasses.is_dataclass(value):
        return value.value if isinstance(value, Enum) else value
    found = ((name, getattr(value, attribute), default) for attribute, name, default in _fields(kind))
    return {name: to_plain(item, defaults=defaults) for name, item, default in found if defaults or item != default}


@cache
def _fields(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    """The fields of a dataclass, each with its name, its name in documents, and its default. A field without a default
    has MISSING, which equals no value."""
    return tuple(
        (
            field.name,
            field.metadata.get(IN_DOCUMENTS, field.name),
            field.default if field.default_factory is dataclasses.MISSING else field.default_factory(),
        )
        for field in dataclasses.fields(kind)
    )


def decode(document: bytes, kind: type[T]) -> T:
    """The value of the dataclass ``kind`` that a JSON document holds. Unknown keys are ignored, so that an older agent
    can read what a newer one wrote. Raises ValueError; Mismatch, which is one, for a value of the wrong type."""
    try:
        text = document.decode().strip()
        value, end = _JSON.raw_decode(text)
        if end != len(text):
            raise ValueError("there is more behind its end")
        return from_plain(value, kind)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def plain_json(document: bytes) -> object:
    """The values in ``document``, JSON that anybody may have written. Raises ValueError, also for a document that is
    not UTF-8, holds half a character (a lone surrogate), or is nested too deep."""
    try:
        plain: object = json.loads(document.decode())
        if b"\\u" in document:  # an escape may stand for half a character
            json.dumps(plain, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError("it cannot be read as JSON in UTF-8") from error
    return plain


def from_plain(value: object, kind: type[T], *, exact: bool = False) -> T:
    """``value``, as ``json.loads`` gave it, as one of ``kind``. ``exact``: an object must have all fields of its class,
    and no others. An object of a class that is ``CLOSED`` must never have others. Raises Mismatch."""
    hint: Any = kind
    found: T = _reader(hint, exact)(value)
    return found


@cache
def _reader(hint: Any, exact: bool) -> Reader:
    """The reader of values of the type ``hint``.

    ``hint``: Any, str, int, bool, float, a literal, an enum, a dataclass; or a mapping, list, tuple, frozenset or union
    of these. None stands in unions alone. A type may be Annotated with an object that has ``checks``: functions that
    are called with each value, and raise Mismatch for one that is not allowed."""
    if hint is Any:
        return lambda value: value
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Annotated, Literal):
        return _literal(inner) if kind is Literal else _checked(_reader(inner[0], exact), inner[1:])
    if inner:
        return _collection(kind, [_reader(each, exact) for each in inner if each not in (type(None), ...)], inner)
    if dataclasses.is_dataclass(kind):
        return _object(kind, exact)
    if issubclass(kind, Enum):
        return _enum(kind)
    return _float if kind is float else _scalar(kind)


def _checked(reader: Reader, annotations: tuple[Any, ...]) -> Reader:
    checks: list[ValueCheck] = [check for each in annotations for check in getattr(each, "checks", ())]

    def read(value: Any) -> Any:
        found = reader(value)
        for check in checks:
            check(found)
        return found

    return read


def _collection(kind: Any, readers: list[Reader], inner: tuple[Any, ...]) -> Reader:
    if kind in (Union, types.UnionType):
        return _union(readers, optional=len(readers) < len(inner))
    if issubclass(kind, Mapping):
        return _any_object if inner[1] is Any else _mapping(readers[1])
    return _row(readers) if kind is tuple and inner[-1] is not ... else _list(kind, readers[0])


def _refuse(wanted: str, value: object) -> Any:
    raise Mismatch(f"{wanted} was expected, not {str(value)[:_SHOWN]!r}")


def _taken_as_is(hint: Any) -> Any:
    """The type, str, int or bool, whose values ``hint`` takes unchanged; None where there is none. A field of such a
    type needs no call of a reader, which counts for thousands of small objects."""
    inner = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType) and len(inner) == 2 and type(None) in inner:
        hint = inner[0] if inner[1] is type(None) else inner[1]
    return hint if hint in _WORDS else None


def _scalar(kind: type) -> Reader:
    return lambda value: value if type(value) is kind else _refuse(_WORDS[kind], value)


def _float(value: Any) -> float:
    with suppress(OverflowError):  # a whole number beyond all floats
        if type(value) in (int, float) and abs(found := float(value)) < float("inf"):
            return found
    raise Mismatch(f"a number was expected, not {str(value)[:_SHOWN]!r}")


def _union(readers: list[Reader], *, optional: bool) -> Reader:
    if optional and len(readers) == 1:
        (only,) = readers
        return lambda value: None if value is None else only(value)

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        for reader in readers[:-1]:
            with suppress(Mismatch):
                return reader(value)
        return readers[-1](value)

    return read


def _literal(values: tuple[Any, ...]) -> Reader:
    typed = tuple((type(value), value) for value in values)  # with the type, because True equals 1
    told = f"one of {', '.join(map(str, values))}"
    return lambda value: value if (type(value), value) in typed else _refuse(told, value)


def _enum(kind: type[Enum]) -> Reader:
    members = {member.value: member for member in kind}

    def read(value: Any) -> Enum:
        try:
            return members[value]
        except (KeyError, TypeError):
            raise Mismatch(f"{kind.__name__} has no {str(value)[:_SHOWN]!r}") from None

    return read


def _object(kind: Any, exact: bool) -> Reader:
    # The alias JSON names itself, so reading by it would never end. What is annotated with it was parsed from JSON.
    hints = get_type_hints(kind, localns={"JSON": Any}, include_extras=True)
    names = {name for _, name, _ in _fields(kind)}
    needed = {name for _, name, default in _fields(kind) if exact or default is dataclasses.MISSING}
    closed = exact or getattr(kind, "CLOSED", False)
    fields = {
        name: (attribute, _taken_as_is(hints[attribute]), _reader(hints[attribute], exact))
        for attribute, name, _ in _fields(kind)
    }

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            _refuse("an object", value)
        if closed and not value.keys() <= names:
            raise Mismatch(f"unknown field {min(value.keys() - names)!r}")
        if not value.keys() >= needed:
            raise Mismatch(f"field {min(needed - value.keys())!r} is missing")
        found, name = {}, ""
        try:  # once, and not around each field, which would cost time for thousands of small objects
            for name, item in value.items():
                if name in fields:
                    attribute, kept, reader = fields[name]
                    found[attribute] = item if type(item) is kept else reader(item)
        except Mismatch as mismatch:
            raise Mismatch(mismatch.why, name, *mismatch.path) from None
        return kind(**found)

    return read


def _any_object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else _refuse("an object", value)


def _mapping(reader: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            _refuse("an object", value)
        return {key: _at(key, reader, item) for key, item in value.items()}

    return read


def _list(kind: type, reader: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            _refuse("a list", value)
        found: list[Any] = []
        try:  # once, as for an object
            for item in value:
                found.append(reader(item))  # noqa: PERF401 - len(found) is the index of the item that failed
        except Mismatch as mismatch:
            raise Mismatch(mismatch.why, f"{len(found)}", *mismatch.path) from None
        return kind(found)

    return read


def _row(readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(readers):
            _refuse(f"a list of {len(readers)}", value)
        return tuple(_at(f"{n}", reader, item) for n, (reader, item) in enumerate(zip(readers, value, strict=True)))

    return read


def _at(name: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except Mismatch as mismatch:
        raise Mismatch(mismatch.why, name, *mismatch.path) from None
