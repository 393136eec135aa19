"""gate: turns a host's windows and the moment into what may not begin now, and when it may. Pure; zones are handed in.

The windows are those of the newest trusted commit that can be read. A host that none of them names is always open. A
change may begin only if what is left of the window is as long as a deploy and the look at the host after it may take.
If windows differ about drift, the stricter one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from agent.domain.plan import Hold, HoldKind
from agent.domain.window import Window, calendar, next_start


@dataclass(frozen=True, slots=True)
class Gate:
    """The hold on the changes that Git newly wants (``intended``), and the hold on repairs (``drift``). None: they may
    begin."""

    intended: Hold | None = None
    drift: Hold | None = None


OPEN = Gate()


def gate(windows: Sequence[Window], *, budget_s: int, now: int, zone: Callable[[str], tzinfo]) -> Gate:
    """The gate at the moment ``now``, in seconds since the epoch. ``budget_s``: the seconds that must be left of a
    window. ``zone`` returns a time zone by its name, and raises ValueError for an unknown one."""
    if not windows:
        return OPEN
    hold = _hold(windows, budget_s, now, zone)
    return Gate(hold, hold if any(window.holds_drift for window in windows) else None)


def _hold(windows: Sequence[Window], budget_s: int, now: int, zone: Callable[[str], tzinfo]) -> Hold | None:
    try:
        openings = calendar(windows, now, zone)
    except ValueError as error:
        # A window whose times cannot be told is not open.
        return Hold(HoldKind.WINDOW, f"its windows cannot be told: {error}")
    start = next_start(openings, now, budget_s)
    if start == now:
        return None
    if openings and openings[0].start <= now:
        why = f"what is left of its window is less than the {budget_s} s that a change may take"
    else:
        why = "it is outside its windows"
    return Hold(HoldKind.WINDOW, f"{why}; waits for the next one", start)
