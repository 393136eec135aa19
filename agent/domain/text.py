"""Text of strangers made fit to be shown: one line, no control characters, bounded."""

from __future__ import annotations

from datetime import UTC, datetime


def printable(text: str, limit: int = 200) -> str:
    """``text``, ``escaped`` and cut after ``limit`` characters."""
    shown = escaped(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def waiting(reason: str, until: int | None) -> str:
    """Why something waits, and until when (seconds since the epoch), where that is known."""
    if until is None:
        return reason
    return f"{reason}, until {datetime.fromtimestamp(until, UTC).strftime('%Y-%m-%d %H:%MZ')}"


def escaped(text: str) -> str:
    """``text`` with everything escaped that could move a cursor, change the direction of writing or end the line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
