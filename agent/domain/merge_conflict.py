"""Marks that git leaves in a file when a merge needs a person."""

from __future__ import annotations

import re

MERGE_CONFLICT = (
    "a merge conflict was left in here",
    "keep one of the two sides and remove the lines with <<<<<<<, ======= and >>>>>>>",
)
"""Problem and remedy, for a file of any format."""

_MARK = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
_WHOLE = re.compile(r"^<{7} .*?^={7}$.*?^>{7} ", re.MULTILINE | re.DOTALL)


def conflict_line(text: str) -> int | None:
    """The first line (from 1) with a mark. For files that cannot be read: a row of = may be meant."""
    return _line(_MARK.search(text), text)


def whole_conflict_line(text: str) -> int | None:
    """The first line (from 1) of a conflict with all its marks. For files of any format."""
    return _line(_WHOLE.search(text), text)


def _line(found: re.Match[str] | None, text: str) -> int | None:
    return None if found is None else text.count("\n", 0, found.start()) + 1
