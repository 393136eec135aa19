"""Valid reports in which every value is as hostile as the schema lets it be. The same seed, the same reports."""

from __future__ import annotations

import dataclasses
import functools
import random
import types
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from agent.domain import codec
from agent.domain.report import Report, ValueLimits

Draw = Callable[[random.Random], Any]
TEXTS = (
    "",
    "[/etc/apt/sources.list]",
    "foo@[/dev/sda1]",
    "[installed] [a-z]+ [emerg] [/] [[ [bold",
    "{0} {report.__class__} %s %(x)s",
    "\x1b]0;owned\x07\x1b[2J\r\x9b1A",
    "<0>\n<script>alert(1)</script>\n# Title\n| a | b |",
    "`code` **bold** [link](javascript:x) ![i](http://x/y.png) www.example.org ann@example.org @ann #1 GH-1 !1",
    "\u202e\u2066\u200b\ufeff\U000e0041\u0301" * 3,
    "=HYPERLINK()",
    ":smile: \U0001f600 \U0001d518",
    "\\",
    "\t\v\f\x85\u2028\u2029",
    "\x00\x7f",
)
SHAPED = {
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$": ("w", "w" * 253, "A._-"),
    "^([0-9a-f]{40}|[0-9a-f]{64})$": ("0" * 40, "f" * 64),
    "^[0-9a-f]{64}$": ("0" * 64,),
    "^[a-z0-9-]{1,64}$": ("-", "a" * 64),
}
"""By the pattern of a field: what matches it."""


def report(seed: int, **fixed: Any) -> Report:
    """One report, with the ``fixed`` fields as they are given."""
    return codec.from_plain(codec.to_plain(_object(random.Random(seed), Report) | fixed), Report)


def _object(chance: random.Random, kind: type[Any]) -> dict[str, Any]:
    return {name: draw(chance) for name, draw in _fields(kind).items()}


@functools.cache
def _fields(kind: type[Any]) -> dict[str, Draw]:
    """How to draw each field: its hint is looked at once, and not for each of ten thousand reports."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _draw(hints[field.name], {}) for field in dataclasses.fields(kind)}


def _draw(hint: Any, limits: dict[str, Any]) -> Draw:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        told = (each.bounds for each in inside[1:] if isinstance(each, ValueLimits))
        return _draw(inside[0], limits | {key: bound for bounds in told for key, bound in bounds.items()})
    if origin is Literal:
        return lambda chance: chance.choice(inside)
    if origin in (Union, types.UnionType):
        kinds = [_draw(each, limits) for each in inside]
        return lambda chance: chance.choice(kinds)(chance)
    if origin is tuple:
        one = _draw(inside[0], {})
        return lambda chance: tuple(one(chance) for _ in range(chance.randint(0, 2)))
    if hint is types.NoneType:
        return lambda _: None
    if hint is bool:
        return lambda chance: chance.random() < 0.5
    if dataclasses.is_dataclass(hint):
        return functools.partial(_object, kind=hint)
    if issubclass(hint, Enum):
        members = list(hint)
        return lambda chance: chance.choice(members)
    return functools.partial(_number if hint is int else _text, limits=limits)


def _number(chance: random.Random, limits: dict[str, Any]) -> int:
    low, high = limits["ge"], limits["le"]
    return int(chance.choice((low, high, chance.randint(low, high))))


def _text(chance: random.Random, limits: dict[str, Any]) -> str:
    if "pattern" in limits:
        return chance.choice(SHAPED[limits["pattern"]])
    longest, text = limits["max_length"], chance.choice(TEXTS)
    return (text * longest)[:longest] if chance.random() < 0.02 else text
