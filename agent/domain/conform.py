"""Whether a value that was read is of the types that its class says: what parses as JSON may still hold anything.

Documents make themselves from JSON and take what is there; one that a failing disk or a hand has changed would be
found out much later, by whoever counts with a text.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def conforms(value: object, hint: Any) -> bool:
    """Whether ``value`` is what ``hint`` says, all the way down: dataclasses, mappings, tuples, unions and plain types.
    What an alias leaves open is."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return any(conforms(value, each) for each in inner)
    if kind is None or not isinstance(kind, type):
        return value is None if kind is None else True
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    if isinstance(value, Mapping) and inner:
        return all(conforms(key, inner[0]) and conforms(item, inner[1]) for key, item in value.items())
    if isinstance(value, tuple) and inner:
        return all(conforms(item, inner[0]) for item in value)
    return not is_dataclass(value) or all(conforms(getattr(value, name), each) for name, each in _types_of(kind))


@cache
def _types_of(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((item.name, hints[item.name]) for item in fields(kind))
