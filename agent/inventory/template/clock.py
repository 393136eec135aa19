"""A bound on the CPU time of a value, also within a regular expression or a filter that counts no steps."""

from __future__ import annotations

import signal
import threading
from typing import Final

from jinja2.exceptions import SecurityError

CPU_LIMIT_S: Final = 5
"""User CPU seconds while one value renders. CPU, so that a busy host comes to the same value."""

_AGAIN_S: Final = 0.5
"""Until the next signal, where a filter has taken the first for a fault of its own."""


class _Clock:
    """The timer of the process. Signals interrupt the main thread alone, and CPython's ``re`` looks for them; so no
    other thread may render. A clock within a clock counts towards the outer one."""

    def __init__(self) -> None:
        self._depth = 0
        self._heard = False

    def __enter__(self) -> None:
        if threading.get_ident() != threading.main_thread().ident:
            raise RuntimeError("only the main thread renders values: in another nothing bounds their CPU time")
        self._depth += 1
        if self._depth == 1:
            if not self._heard:
                signal.signal(signal.SIGVTALRM, self._over)  # stays: a signal may come after the timer was stopped
                self._heard = True
            signal.setitimer(signal.ITIMER_VIRTUAL, CPU_LIMIT_S, _AGAIN_S)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _over(self, *_: object) -> None:
        if self._depth == 0:
            return
        raise SecurityError(
            f"this takes more than {CPU_LIMIT_S} s of CPU; make texts and lists shorter, and let nothing repeat within"
            " a repetition of a regular expression, as in (a+)+"
        )


clock: Final = _Clock()
