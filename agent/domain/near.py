"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

_LIKE: Final = 0.66
"""The likeness (difflib's ratio) from which one name may be the other misspelt: ``wbe`` may be ``web``, ``state`` is
not ``template``."""

_WORD: Final = re.compile(r"[^._/-]+|[._/-]")
"""A word of a name, or the character between two words."""


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The ``known`` names that ``name`` may be a misspelling of, the likeliest first, at most ``most``.

    Names with other digits are left out: ``web1`` does not mean ``web12``. Words that both share at the beginning or
    the end do not count: ``db.yaml`` does not mean ``web.yaml``."""
    digits = _digits(name)
    same = [each for each in known if _digits(each) == digits]
    found = difflib.get_close_matches(name, same, n=len(same) or 1, cutoff=_LIKE)
    return [each for each in found if _are_alike(*_differing(name, each))][:most]


def _differing(one: str, other: str) -> tuple[str, str]:
    """Both names without the words that they share at the beginning and the end; both whole if nothing is left of
    one."""
    mine, its = _WORD.findall(one), _WORD.findall(other)
    for end in (0, -1):
        while mine and its and mine[end] == its[end]:
            mine.pop(end)
            its.pop(end)
    return ("".join(mine), "".join(its)) if mine and its else (one, other)


def _are_alike(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, other, one).ratio() >= _LIKE


def _digits(name: str) -> list[str]:
    """The digits of ``name``, sorted, so that two may have changed places."""
    return sorted(filter(str.isdigit, name))
