"""Text of strangers made fit to be shown: one line, no control characters, bounded."""

from __future__ import annotations


def printable(text: str, limit: int = 200) -> str:
    """``text``, ``escaped`` and cut after ``limit`` characters."""
    shown = escaped(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def escaped(text: str) -> str:
    """``text`` with everything escaped that could move a cursor, change the direction of writing or end the line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
