"""Maintenance windows: from recurring windows and a moment, the openings in seconds, right when clocks change, too; and
from these the gate: what may not begin now, and when it may.

A window begins at the first moment at which the clocks of its time zone show ``from`` or later on one of its days. So
02:30 on the night when clocks go from 02:00 to 03:00 is 03:00, and on the night when 02:30 comes twice it is the first
of them. It lasts ``for`` in real time, also when clocks change meanwhile. Pure: the caller gives the zones.

A host that no window names is always open. A change may begin only if what remains of the window is as long as a deploy
and the look at the host after it may take. If windows differ about drift, the stricter one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from agent.domain.plan import Hold, HoldKind

LONGEST_S: Final = 7 * 86400
"""The longest window: after a week its next opening has begun."""

_BACK: Final = timedelta(days=9)
"""The days before today in which an opening may have begun that lasts until now: the longest window, and a margin for
time zones."""
_AHEAD: Final = timedelta(days=16)
"""The days from today that are looked at: each window comes within a week, and one that has begun lasts a week at
most."""


@dataclass(frozen=True, slots=True)
class Window:
    """A recurring window. ``days``: 0 is Monday; empty for every day. ``from_minute``: minute of the day. ``for_s``:
    seconds, at most ``LONGEST_S``. ``holds_drift``: True if drift is not repaired outside of it either."""

    days: tuple[int, ...]
    from_minute: int
    for_s: int
    tz: str = "UTC"
    holds_drift: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """The time from ``start`` until just before ``end``, in seconds since the epoch."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Gate:
    """The hold on the changes that Git newly wants (``intended``), and the hold on repairs (``drift``). None: they may
    begin."""

    intended: Hold | None = None
    drift: Hold | None = None


OPEN = Gate()


def gate(windows: Sequence[Window], *, budget_s: int, now: int, zone: Callable[[str], tzinfo]) -> Gate:
    """The gate at the moment ``now``, in seconds since the epoch. ``budget_s``: the seconds that must remain of a
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


def calendar(windows: Iterable[Window], now: int, zone: Callable[[str], tzinfo]) -> tuple[Opening, ...]:
    """The openings of ``windows``, now and for the next one or two weeks. Openings that overlap or adjoin are one."""
    joined: list[Opening] = []
    for opening in sorted(_all(windows, now, zone), key=lambda each: each.start):
        if joined and opening.start <= joined[-1].end:
            joined[-1] = Opening(joined[-1].start, max(joined[-1].end, opening.end))
        else:
            joined.append(opening)
    return tuple(opening for opening in joined if opening.end > now)


def next_start(openings: Sequence[Opening], now: int, budget_s: int) -> int | None:
    """The time at which something that takes up to ``budget_s`` may begin: ``now``, or the start of the first opening
    that is long enough; None without one."""
    fits = (max(now, each.start) for each in openings if each.end - max(now, each.start) >= budget_s)
    return next(fits, None)


def first_moment(day: date, minute: int, zone: tzinfo) -> int:
    """The first moment at which the clocks of ``zone`` show this minute of this day, or a later one."""
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    found = int(wall.replace(tzinfo=zone).timestamp())
    if _shown(found, zone) == wall:
        return found
    # Clocks skip this time. Taken with the two offsets, it is one moment before the skip and one behind it.
    before, behind = sorted((found, int(wall.replace(tzinfo=zone, fold=1).timestamp())))
    while behind - before > 1:
        middle = (before + behind) // 2
        before, behind = (before, middle) if _shown(middle, zone) >= wall else (middle, behind)
    return behind


def _all(windows: Iterable[Window], now: int, zone: Callable[[str], tzinfo]) -> Iterator[Opening]:
    today = datetime.fromtimestamp(now, UTC).date()
    for window in windows:
        clocks = zone(window.tz)
        for passed in range((_BACK + _AHEAD).days):
            day = today - _BACK + timedelta(days=passed)
            if not window.days or day.weekday() in window.days:
                start = first_moment(day, window.from_minute, clocks)
                yield Opening(start, start + window.for_s)


def _shown(moment: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
