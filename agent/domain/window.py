"""Maintenance windows: from recurring windows and a moment, the openings in seconds, right when clocks change, too.

A window begins at the first moment at which the clocks of its time zone show ``from`` or later on one of its days. So
02:30 on the night when clocks go from 02:00 to 03:00 is 03:00, and on the night when 02:30 comes twice it is the first
of them. It lasts ``for`` in real time, also when clocks change meanwhile. Pure: the caller gives the zones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

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
