"""Undefined values: tests and defaults may look at one, everything else fails or passes it on."""

from __future__ import annotations

from typing import Any, cast

from jinja2 import ChainableUndefined, StrictUndefined, Undefined


class Absent(ChainableUndefined, StrictUndefined):
    """An undefined value. Attributes and items of it are undefined too; every other use raises, also writing down a
    collection that it is in."""

    __slots__ = ()
    __repr__ = Undefined._fail_with_undefined_error


def absent(problem: Exception) -> Absent:
    """An undefined value whose use raises ``problem``."""
    return Absent(exc=cast("Any", lambda _message: problem))


def first_undefined(*values: Any) -> Absent | None:
    return next((value for value in values if isinstance(value, Absent)), None)


def require_defined(value: Any) -> Any:
    """``value``. Raises the error of an undefined one here, where the traceback still has the line of the template."""
    if isinstance(value, Absent):
        str(value)
    return value
