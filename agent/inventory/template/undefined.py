"""Undefined values in filters, tests and calls, handled as in Ansible.

A filter returns an undefined argument unchanged, so that a default may follow: ``{{ port | int | default(80) }}``. A
test raises, because neither yes nor no is true: a misspelt ``{% if prot is none %}`` must not be a quiet no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any

from agent.inventory.template.lazy import Absent

Functions = Mapping[str, Any]

_FILTERS_OF_UNDEFINED = ("default", "d", "mandatory", "ternary", "type_debug")
_TESTS_OF_UNDEFINED = ("defined", "undefined")


def first_undefined(*values: Any) -> Absent | None:
    return next((value for value in values if isinstance(value, Absent)), None)


def require_defined(value: Any) -> Any:
    """``value``, which must not be undefined. Raising here keeps the line of the template."""
    if isinstance(value, Absent):
        str(value)
    return value


def filters_of_defined(filters: Functions) -> Functions:
    """``filters``, each returning an undefined argument unchanged, apart from filters made for undefined values."""
    return {name: each if name in _FILTERS_OF_UNDEFINED else _passing_on(each) for name, each in filters.items()}


def tests_of_defined(tests: Functions) -> Functions:
    """``tests``, each raising for an undefined argument, apart from tests made for undefined values."""
    return {name: each if name in _TESTS_OF_UNDEFINED else _raising(each) for name, each in tests.items()}


@cache
def _passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def passing_on(*args: Any, **named: Any) -> Any:
        undefined = first_undefined(*args, *named.values())
        return function(*args, **named) if undefined is None else undefined

    return passing_on


@cache
def _raising(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def raising(*args: Any, **named: Any) -> Any:
        require_defined(first_undefined(*args, *named.values()))
        return function(*args, **named)

    return raising
