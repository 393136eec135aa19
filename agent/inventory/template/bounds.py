"""Bounds on the work of a template: on its steps, and on what its operators, calls and filters make.

They keep an honest mistake (a range with three zeros too many, a string that doubles itself) from taking the host's
memory; whoever signs commits is trusted not to search for the holes that every template language has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, NoReturn

from jinja2 import Environment
from jinja2.exceptions import SecurityError

from agent.inventory.template.clock import clock

TEXT_LIMIT = 1024 * 1024
"""Characters of one text, rendered or in between."""

STEP_LIMIT = 200_000
"""Rounds of loops and calls while one value renders."""

KEPT_LIMIT = 64 * 1024 * 1024
"""Characters and items that are added to texts and lists while one value renders."""

NUMBER_LIMIT = 10_000
"""Bits of a whole number; also the longest range and the widest padding."""

INDENT_LIMIT = 100
"""Characters by which JSON is indented with each level."""

_WIDE_PERCENT = re.compile(r"%[^a-zA-Z%]*(\d{5}|\*)")
_WIDE_BRACES = re.compile(r":[^}]*(\d{5}|\{)")


class Budget:
    """A counter of steps, of CPU time and of what is added. Values that render inside another one count towards the
    same budget. Its methods raise SecurityError for what is too much."""

    def __init__(self) -> None:
        self._depth = 0
        self._steps = 0
        self._kept = 0

    def __enter__(self) -> None:
        clock.__enter__()
        if self._depth == 0:
            self._steps = self._kept = 0
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        clock.__exit__()
        self._depth -= 1

    def step(self) -> None:
        self._steps += 1
        if self._steps > STEP_LIMIT:
            forbid(f"more than {STEP_LIMIT} rounds of loops and calls")

    def add(self, left: Any, right: Any) -> None:
        """Count the shorter of two summands: it is what is added to the other."""
        self._kept += _weight(min(left, right, key=_length))
        if self._kept > KEPT_LIMIT:
            most = f"{KEPT_LIMIT // 1024**2} Mi characters and items"
            forbid(f"more than {most} are added with + and ~; build a shorter text or list")


def require_bounded_operation(operator: str, left: Any, right: Any) -> None:
    """Raises SecurityError for what would be too large."""
    if operator == "**":
        _require(abs(right) * (abs(left).bit_length() if isinstance(left, int) else 1) <= NUMBER_LIMIT, "a power")
    elif operator == "%" and isinstance(left, str):
        _require(not _WIDE_PERCENT.search(left), "a text")
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        _require(left.bit_length() + right.bit_length() <= NUMBER_LIMIT, "a number")
    elif operator == "*":
        _require(_weight(left) * _count(right) <= TEXT_LIMIT, "a repetition")
        _require(_weight(right) * _count(left) <= TEXT_LIMIT, "a repetition")
    elif operator == "+":
        _require(_length(left) + _length(right) <= TEXT_LIMIT, "a sum")


def require_bounded_method(text: str, name: str, args: Sequence[Any]) -> None:
    """Raises SecurityError where ``text.name(*args)`` would be too large."""
    _require(not any(_count(arg) > NUMBER_LIMIT for arg in args) or name.startswith("format"), "a text")
    _require(not (name.startswith("format") and _WIDE_BRACES.search(text)), "a text")
    if name == "replace" and len(args) > 1:
        _require_replaced(text, str(args[0]), str(args[1]))
    if name == "join" and args and isinstance(args[0], (list, tuple)):
        _require_joined(text, args[0])


def bounded_range(*bounds: int) -> range:
    numbers = range(*bounds)
    _require(len(numbers) <= NUMBER_LIMIT, "a range")
    return numbers


@cache
def bounded(function: Callable[..., Any], require: Callable[..., None]) -> Callable[..., Any]:
    """The filter ``function`` with ``require`` called on its arguments first."""

    @wraps(function)
    def within(*args: Any, **named: Any) -> Any:
        require(*args, **named)
        return function(*args, **named)

    return within


def _require_narrow(value: Any, *args: Any, **named: Any) -> None:
    widths = args[1:] if isinstance(value, Environment) else args
    _require(all(_count(width) <= NUMBER_LIMIT for width in (*widths, *named.values())), "a text")


def _require_format(text: Any, *_: Any, **__: Any) -> None:
    _require(not _WIDE_PERCENT.search(str(text)), "a text")


def _require_replaced(text: str, old: str, new: str) -> None:
    _require(len(text) + text.count(old) * len(new) <= TEXT_LIMIT, "a text")


def _require_indented(*args: Any, **named: Any) -> None:
    _require(all(_weight_of(each) <= INDENT_LIMIT for each in (*args[1:], *named.values())), "an indent")


def _require_joined(separator: str, parts: Any) -> None:
    if not isinstance(parts, (list, tuple)):
        return
    total = sum(len(part) for part in parts if isinstance(part, str)) + len(parts) * len(separator)
    _require(total <= TEXT_LIMIT, "a text")


FILTER_BOUNDS: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("batch", "center", "comment", "slice", "truncate", "wordwrap"), _require_narrow),
    **dict.fromkeys(("combinations", "permutations", "product"), _require_narrow),
    **dict.fromkeys(("to_json", "to_nice_json", "tojson"), _require_indented),
    "format": _require_format,
    "indent": lambda text, width=4, *_, **__: _require(
        (str(text).count("\n") + 1) * _weight_of(width) <= TEXT_LIMIT, "a text"
    ),
    "join": lambda _context, parts, separator="", *_, **__: _require_joined(str(separator), parts),
    "replace": lambda _context, text, old, new, *_, **__: _require_replaced(str(text), str(old), str(new)),
}
"""By filter, what has to be true of its arguments."""


def _length(value: object) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _weight(value: object) -> int:
    """Items and characters, those of lists within too; beyond TEXT_LIMIT not all of them."""
    weight = _length(value)
    for item in value if type(value) in (list, tuple) else ():  # type: ignore[attr-defined]
        weight += _weight(item)
        if weight > TEXT_LIMIT:
            break
    return weight


def _weight_of(width: object) -> int:
    """Characters of an indent, which is their number or they themselves."""
    return max(_count(width), _length(width))


def _count(value: object) -> int:
    return abs(value) if isinstance(value, int) else 0


def _require(fine: bool, what: str) -> None:
    if not fine:
        forbid(f"{what} beyond all bounds")


def forbid(problem: str) -> NoReturn:
    raise SecurityError(problem)
