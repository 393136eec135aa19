"""Names that somebody may have meant by another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_LIKE: Final = 0.66
"""How alike two names are of which one may be the other misspelt (difflib's ratio): ``wbe`` is web, ``state`` is no
``template``."""


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Those ``known`` that ``name`` may be a misspelling of, the likeliest first. Another number is another name:
    ``web12`` is not meant by ``web1``."""
    digits = _digits(name)
    return difflib.get_close_matches(name, [each for each in known if _digits(each) == digits], n=most, cutoff=_LIKE)


def _digits(name: str) -> list[str]:
    """Sorted: two may have changed places."""
    return sorted(filter(str.isdigit, name))
