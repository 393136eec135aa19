"""Bounds on the work of a template: on its steps, CPU time and memory, and on numbers, whose arithmetic no signal
interrupts.

They keep an honest mistake (a range with three zeros too many, a string that doubles itself) from taking the host's
memory; whoever signs commits is trusted not to search for the holes that every template language has.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError

from agent.inventory.template.clock import clock
from agent.inventory.template.memory import memory

TEXT_LIMIT = 1024 * 1024
"""Characters of one rendered text."""

STEP_LIMIT = 200_000
"""Rounds of loops and calls while one value renders."""

RANGE_LIMIT = 1_000_000
"""Numbers of a range."""

NUMBER_LIMIT = 10_000
"""Bits of a whole number that ``*`` and ``**`` make; also the digits to which ``round`` rounds."""


class Budget:
    """A counter of steps, with the bounds on CPU time and memory. Values that render inside another one count towards
    the same budget."""

    def __init__(self) -> None:
        self._depth = 0
        self._steps = 0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._steps = 0
            clock.__enter__()  # first: it refuses other threads
            memory.__enter__()
        self._depth += 1

    def __exit__(self, _kind: object, _error: object, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            try:
                clock.__exit__()
            finally:
                memory.__exit__()
        # A complaint is kept, and must not keep what the template had made.
        traceback.clear_frames(trace)

    def step(self) -> None:
        """Count a step. Raises SecurityError for one too many."""
        self._steps += 1
        if self._steps > STEP_LIMIT:
            forbid(f"more than {STEP_LIMIT} rounds of loops and calls")


def require_bounded_operation(operator: str, left: Any, right: Any) -> None:
    """Raises SecurityError for a number that would be too large."""
    if operator == "**":
        _require_bits(abs(right) * (abs(left).bit_length() if isinstance(left, int) else 1))
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        _require_bits(left.bit_length() + right.bit_length())


def bounded_range(*bounds: int) -> range:
    numbers = range(*bounds)
    count = -((numbers.start - numbers.stop) // numbers.step)  # len() ends at 2**63
    if count > RANGE_LIMIT:
        forbid(f"{numbers} has {count} numbers, and {RANGE_LIMIT} is the most; make it shorter")
    return numbers


def bounded_round(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter ``round``, which works with a power of ten."""

    @wraps(function)
    def within(value: Any, precision: Any = 0, *args: Any, **named: Any) -> Any:
        if isinstance(precision, int) and abs(precision) > NUMBER_LIMIT:
            forbid(f"round: {precision} digits, and {NUMBER_LIMIT} is the most")
        return function(value, precision, *args, **named)

    return within


def _require_bits(bits: float) -> None:
    if not bits <= NUMBER_LIMIT:
        forbid(f"a number of about {bits} bits, and {NUMBER_LIMIT} is the most; use smaller numbers")


def forbid(problem: str) -> NoReturn:
    raise SecurityError(problem)
