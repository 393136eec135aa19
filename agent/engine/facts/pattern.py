"""grep's patterns as patterns of Python, where both are certain to find the same lines of ASCII text."""

from __future__ import annotations

import re

_STARS_MAX = 4
"""The most stars in a pattern: with more, Python could take for ever."""

_ATOM = re.compile(
    r"\\(?P<escaped>[.[*^$\\])"
    r"|(?P<any>\.)"
    r"|(?P<set>\[\^?[\w #;,!%/<>@'\"]+\])"
    r"|(?P<extended>[+?{}()|])"
    r"|(?P<literal>[^][\\.*^$+?{}()|])",
    re.ASCII,
)


def translated(pattern: str, *, extended: bool) -> re.Pattern[str] | None:
    """``pattern`` as a pattern of Python; None where it is not certain to find the same. ``extended``: True for
    ``grep -E``."""
    if not (pattern.isascii() and pattern.isprintable()):
        return None
    rest, made = (pattern[1:], "^") if pattern.startswith("^") else (pattern, "")
    end = ""
    if rest.endswith("$") and not rest.endswith("\\$"):
        rest, end = rest[:-1], r"\Z"
    if not rest:
        return None
    place = 0
    while place < len(rest):
        atom = _ATOM.match(rest, place)
        if atom is None or (atom["extended"] and extended):
            return None
        text = atom["escaped"] or atom["extended"] or atom["literal"]
        made += atom["any"] or atom["set"] or re.escape(text)
        place = atom.end()
        if rest.startswith("*", place):
            made += "*"
            place += 1
            if rest.startswith("*", place):
                return None
    return re.compile(made + end) if rest.count("*") <= _STARS_MAX else None
