"""The schedule of a cron job: five fields or a name, checked as crontab(5) has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.domain.fault import Mistake

NAMES = ("@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


@dataclass(frozen=True, slots=True)
class _Field:
    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """The names of ``low`` and the numbers after it."""

    def number(self, text: str) -> int | None:
        if text.isascii() and text.isdecimal() and len(text) <= 2:
            return int(text)
        lower = text.lower()
        return self.low + self.names.index(lower) if lower in self.names else None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

_PART = re.compile(r"(?P<first>\*|[^-/*]+)(-(?P<last>[^-/*]+))?(/(?P<step>\d{1,3}))?")


def normalised(schedule: str) -> str:
    """``schedule`` with single spaces. Raises ValueError with everything that is wrong."""
    text = " ".join(schedule.split())
    if text.startswith("@"):
        if text not in NAMES:
            raise Mistake(f"there is no {text!r}", f"write five fields or one of {', '.join(NAMES)}")
        return text
    fields = text.split()
    if len(fields) != len(_FIELDS):
        titles = ", ".join(field.title for field in _FIELDS)
        raise Mistake(f"{schedule!r} has {len(fields)} fields and not five", f"write {titles}; or @daily")
    complaints = [wrong for field, text in zip(_FIELDS, fields, strict=True) for wrong in _complaints(field, text)]
    if complaints:
        raise Mistake("; ".join(complaints), "write it as crontab(5) says: 30 2 * * 1-5")
    return text


def _complaints(field: _Field, text: str) -> Iterator[str]:
    for part in text.split(","):
        complaint = _complaint(field, part)
        if complaint:
            yield f"{field.title} {part!r}: {complaint}"


def _complaint(field: _Field, part: str) -> str:
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"] is not None):
        return "write *, a number, a range like 1-5, or either of * and a range with a step like */15"
    first, last, step = match["first"], match["last"], match["step"]
    if step is not None and first != "*" and last is None:
        return f"a step goes with * or a range; write {first}-{field.high}/{step}"
    if step is not None and not 1 <= int(step) <= field.high:
        return f"a step is a number from 1 to {field.high}"
    return _range_complaint(field, [text for text in (first, last) if text not in (None, "*")])


def _range_complaint(field: _Field, ends: list[str]) -> str:
    """The complaint about a range of the field; empty if it is sound. ``ends``: one number or two, or none for
    ``*``."""
    numbers = [number for end in ends if (number := field.number(end)) is not None]
    if len(numbers) < len(ends) or not all(field.low <= number <= field.high for number in numbers):
        names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        return f"a number from {field.low} to {field.high}{names} is expected"
    return f"{ends[0]} comes after {ends[-1]}" if numbers != sorted(numbers) else ""
