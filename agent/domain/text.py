"""Text for people: strangers' text on one line, without control characters and bounded; moments; counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

MINUTE = "%Y-%m-%d %H:%MZ"
SECOND = "%Y-%m-%d %H:%M:%SZ"
DAY = "%Y-%m-%d"


UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def not_utf8(content: bytes) -> tuple[str, str]:
    """Problem and remedy for a file that is not UTF-8."""
    remedy = "save it as UTF-8"
    return ("this is UTF-16 text" if content.startswith(UTF_16) else "not UTF-8 text"), remedy


def printable(text: str, limit: int = 200) -> str:
    """``text`` escaped and cut after ``limit`` characters."""
    shown = escaped(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def escaped(text: str) -> str:
    """``text`` with every character escaped that could move a cursor, turn the direction of writing or end the line."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def some(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names, and how many more there are: ``a, b and 4 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(name) for name in names[:most]) + more


def moment(instant: int, form: str = MINUTE) -> str:
    """``instant`` (seconds since the epoch) in UTC, as text; other words for a time beyond the calendar."""
    try:
        return datetime.fromtimestamp(instant, UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"


def waiting(reason: str, until: int | None) -> str:
    """``reason`` and the end of the wait, ``until`` (seconds since the epoch); ``reason`` alone for None."""
    return reason if until is None else f"{reason}, until {moment(until)}"


def counted(kinds: Iterable[str]) -> str:
    """The number of each of ``kinds``, in words: ``120 files, 4 directories``."""
    return ", ".join(f"{number} {plural(kind, number)}" for kind, number in Counter(kinds).items())


def plural(kind: str, number: int) -> str:
    """The word for ``number`` resources of a kind."""
    word = {"op": "operation"}.get(kind, kind)
    return word if number == 1 else f"{word[:-1]}ies" if word.endswith("ry") else f"{word}s"
