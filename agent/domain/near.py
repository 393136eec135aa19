"""Names that somebody may have meant by another one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

_LIKE: Final = 0.66
"""How alike two names are of which one may be the other misspelt (difflib's ratio): ``wbe`` is web, ``state`` is no
``template``."""

_WORD: Final = re.compile(r"[^._/-]+|[._/-]")
"""A word of a name, or what stands between two."""


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Those ``known`` that ``name`` may be a misspelling of, the likeliest first. Another number is another name:
    ``web12`` is not meant by ``web1``. What both share is no likeness: ``web.yaml`` is not meant by ``db.yaml``."""
    digits = _digits(name)
    same = [each for each in known if _digits(each) == digits]
    found = difflib.get_close_matches(name, same, n=len(same) or 1, cutoff=_LIKE)
    return [each for each in found if _are_alike(*_differing(name, each))][:most]


def _differing(one: str, other: str) -> tuple[str, str]:
    """Both without the words that they begin with and end in alike; whole where that leaves nothing of one."""
    mine, its = _WORD.findall(one), _WORD.findall(other)
    for end in (0, -1):
        while mine and its and mine[end] == its[end]:
            mine.pop(end)
            its.pop(end)
    return ("".join(mine), "".join(its)) if mine and its else (one, other)


def _are_alike(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, other, one).ratio() >= _LIKE


def _digits(name: str) -> list[str]:
    """Sorted: two may have changed places."""
    return sorted(filter(str.isdigit, name))
