"""gate: turns a host's windows and the moment into what may not begin now, and when it may. Pure; zones are handed in.

The windows are those of the newest trusted commit that can be read. A host that none of them names is always open. What
begins must have as much left of the window as a deploy and the look at the host behind it may take. Of windows that say
different things about drift the stricter one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from agent.domain.plan import Hold, HoldKind
from agent.domain.window import Window, calendar, next_start


@dataclass(frozen=True, slots=True)
class Gate:
    """What holds the changes that Git newly wants, and what holds repairs."""

    intended: Hold | None = None
    drift: Hold | None = None


OPEN = Gate()


def gate(windows: Sequence[Window], *, budget_s: int, now: int, zone: Callable[[str], tzinfo]) -> Gate:
    """``budget_s``: what must be left of a window. ``zone`` raises ValueError for a name it does not know."""
    if not windows:
        return OPEN
    hold = _hold(windows, budget_s, now, zone)
    return Gate(hold, hold if any(window.holds_drift for window in windows) else None)


def _hold(windows: Sequence[Window], budget_s: int, now: int, zone: Callable[[str], tzinfo]) -> Hold | None:
    try:
        openings = calendar(windows, now, zone)
    except ValueError as error:
        # A window that nobody can tell the time of is not an open one.
        return Hold(HoldKind.WINDOW, f"its windows cannot be told: {error}")
    start = next_start(openings, now, budget_s)
    if start == now:
        return None
    if openings and openings[0].start <= now:
        why = f"what is left of its window is less than the {budget_s} s that a change may take"
    else:
        why = "it is outside its windows"
    return Hold(HoldKind.WINDOW, f"{why}; waits for the next one", start)
