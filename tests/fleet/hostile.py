"""Valid reports in which every value is as hostile as the schema lets it be. The same seed, the same reports."""

from __future__ import annotations

import random
import types
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.domain.report import Report

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
    return Report.model_validate(_model(random.Random(seed), Report) | fixed)


def _model(chance: random.Random, model: type[BaseModel]) -> dict[str, Any]:
    return {name: _field(chance, field) for name, field in model.model_fields.items()}


def _field(chance: random.Random, field: FieldInfo) -> Any:
    return _value(chance, field.annotation, tuple(field.metadata))


def _value(chance: random.Random, hint: Any, limits: tuple[Any, ...]) -> Any:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(chance, inside[0], (*limits, *inside[1:]))
    if origin is Literal:
        return chance.choice(inside)
    if origin in (Union, types.UnionType):
        return _value(chance, chance.choice(inside), limits)
    if origin is tuple:
        return tuple(_value(chance, inside[0], ()) for _ in range(chance.randint(0, 2)))
    if hint is types.NoneType:
        return None
    if hint is bool:
        return chance.random() < 0.5
    if issubclass(hint, BaseModel):
        return _model(chance, hint)
    if issubclass(hint, Enum):
        return chance.choice(list(hint))
    flat = [each for limit in limits for each in (limit.metadata if isinstance(limit, FieldInfo) else (limit,))]
    return _number(chance, flat) if hint is int else _text(chance, flat)


def _number(chance: random.Random, limits: list[Any]) -> int:
    low = max(each.ge for each in limits if isinstance(each, Ge))
    high = min(each.le for each in limits if isinstance(each, Le))
    return int(chance.choice((low, high, chance.randint(int(low), int(high)))))


def _text(chance: random.Random, limits: list[Any]) -> str:
    for each in limits:
        if (pattern := getattr(each, "pattern", None)) is not None:
            return chance.choice(SHAPED[pattern])
    longest = min(each.max_length for each in limits if isinstance(each, MaxLen))
    text = chance.choice(TEXTS)
    return (text * longest)[:longest] if chance.random() < 0.02 else text
