"""Finding the marks that git leaves in a file when a merge needs a person."""

from __future__ import annotations

import re

MERGE_CONFLICT = (
    "a merge conflict was left in here",
    "keep one of the two sides and remove the lines with <<<<<<<, ======= and >>>>>>>",
)
"""Problem and remedy, for a file of any format."""

_MARK = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
_WHOLE = tuple(re.compile(mark, re.MULTILINE) for mark in (r"^<{7} ", r"^={7}$", r"^>{7} "))


def conflict_line(text: str) -> int | None:
    """The number (from 1) of the first line with a mark; None without one. To be asked only of a file that cannot be
    parsed: in other files a row of ``=`` may be meant."""
    return _line(_MARK.search(text), text)


def whole_conflict_line(text: str) -> int | None:
    """The number (from 1) of the first line of a conflict with all its marks; None without one. For files of any
    format."""
    begins, at = _WHOLE[0].search(text), 0
    for mark in _WHOLE:  # one after the other: one expression for all would search on from each line that begins one
        if (found := mark.search(text, at)) is None:
            return None
        at = found.end()
    return _line(begins, text)


def _line(found: re.Match[str] | None, text: str) -> int | None:
    return None if found is None else text.count("\n", 0, found.start()) + 1
