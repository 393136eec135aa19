"""Bounds on the work of a template: steps, CPU time, memory, and the size of numbers, whose arithmetic no signal
interrupts. The bound on CPU time also holds inside a regular expression or a filter that counts no steps. The bound on
memory holds everywhere.

They keep an honest mistake (a range with three zeros too many, a string that doubles itself) from taking the host's
memory; whoever signs commits is trusted not to search for the holes that every template language has.
"""

from __future__ import annotations

import resource
import signal
import threading
import traceback
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Final, NoReturn

from jinja2.exceptions import SecurityError

CPU_LIMIT_S: Final = 5
"""User CPU seconds while one value renders. CPU and not wall time, so that a busy host comes to the same value."""

MEMORY_LIMIT: Final = 256 * 1024 * 1024
"""Bytes by which the process may grow while one value renders."""

TEXT_LIMIT = 1024 * 1024
"""The most characters of one rendered text."""

STEP_LIMIT = 200_000
"""The most rounds of loops and calls while one value renders."""

RANGE_LIMIT = 1_000_000
"""The most numbers of a range."""

NUMBER_LIMIT = 10_000
"""The most bits of a whole number that ``*`` and ``**`` make; also the most digits to which ``round`` rounds."""


_AGAIN_S: Final = 0.5
"""CPU seconds until the next signal: a filter may have caught the error that the first one raised."""

_PAGE: Final = resource.getpagesize()


class _Budget:
    """The steps, CPU time and memory of one value. Values that render inside another one count towards the same budget.

    CPU time is bounded by a timer of the process. Its signals interrupt the main thread alone, and CPython's ``re``
    looks for them; so no other thread may render. Memory is bounded by the kernel's limit on the data of the process;
    Python raises MemoryError for what would go beyond.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._steps = 0
        self._usual = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def __enter__(self) -> None:
        if self._depth == 0:
            if threading.get_ident() != threading.main_thread().ident:
                raise RuntimeError("only the main thread renders values: in another nothing bounds their CPU time")
            self._steps = 0
            signal.signal(signal.SIGVTALRM, self._over)  # stays: a signal may come after the timer was stopped
            signal.setitimer(signal.ITIMER_VIRTUAL, CPU_LIMIT_S, _AGAIN_S)
            self._usual = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = _data() + MEMORY_LIMIT
            if soft == resource.RLIM_INFINITY or soft > most:
                resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
        self._depth += 1

    def __exit__(self, _kind: object, _error: object, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            resource.setrlimit(resource.RLIMIT_DATA, self._usual)
        # A complaint is kept. It must not keep the values that the template had made.
        traceback.clear_frames(trace)

    def step(self) -> None:
        """Count a step. Raises SecurityError for more than STEP_LIMIT."""
        self._steps += 1
        if self._steps > STEP_LIMIT:
            forbid(f"more than {STEP_LIMIT} rounds of loops and calls")

    def _over(self, *_: object) -> None:
        if self._depth:
            forbid(
                f"this takes more than {CPU_LIMIT_S} s of CPU; make texts and lists shorter, and let nothing repeat"
                " within a repetition of a regular expression, as in (a+)+"
            )


def _data() -> int:
    """Bytes of data and stack of this process: proc_pid_statm(5), field 6."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[5]) * _PAGE


budget: Final = _Budget()


def require_bounded_operation(operator: str, left: Any, right: Any) -> None:
    """Raise SecurityError if the result of the operation would be too large a number."""
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
    """The filter ``round`` with a bound on its digits: it works with a power of ten."""

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
