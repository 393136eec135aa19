"""The values of secrets that this process has seen, texts with them masked, and the ban on core dumps, which hold them.

All output goes through ``masked``: the log, the terminal, and the answers of the engine child. A value is masked as a
whole, until the process ends, in the forms in which programs print it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from agent.domain.text import escaped

MASK = "[secret]"

SHORT, SHORTEST = 4, 2
"""Characters. A value shorter than SHORT is masked only where it is a word of its own, and one shorter than SHORTEST
not at all, because texts would become unreadable."""

LINE = 8
"""Characters from which on a line of a longer value is masked by itself too."""

_PR_SET_DUMPABLE = 4
_values: set[str] = set()
_ordered: list[str] = []
"""The values, the longest first; sorted when they are next needed."""

_BEGIN = re.compile(r"(?<!\w)(?=\w)|(?<!\S)(?=\W)")
_END = re.compile(r"(?<=\w)(?!\w)|(?<=\W)(?!\S)")
"""The beginning and the end of a word: its letters are beside no other letter, its other signs only beside blanks."""


def remember(value: str, *, lines: bool = True) -> None:
    """Mask ``value`` from now on; with ``lines`` also its lines of LINE characters or more."""
    _values.update(form for form in _forms(value, lines=lines) if len(form.strip()) >= SHORTEST)


def remember_all(values: Iterable[str]) -> None:
    for value in values:
        remember(value)


def forbid_core_dumps() -> None:
    """Have no core of this process written from now on, nor piped to a program that would keep it. Programs that it
    starts inherit the limit for files."""
    import ctypes  # not needed by a process that sees no secret
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def values() -> tuple[str, ...]:
    """The values that are masked, the longest first, for a child process that is to mask them too."""
    return tuple(_longest_first())


def masked(text: str) -> str:
    """``text`` with each remembered value replaced by MASK."""
    ordered = _longest_first()
    for value in takewhile(_is_long, ordered):
        if value in text:
            text = text.replace(value, MASK)
    return _words_masked(text) if ordered and not _is_long(ordered[-1]) else text


def contains_value(text: str) -> bool:
    """True if a value of SHORT characters or more is in ``text``."""
    return any(value in text for value in takewhile(_is_long, _longest_first()))


def _longest_first() -> list[str]:
    if len(_ordered) != len(_values):
        _ordered[:] = sorted(_values, key=len, reverse=True)
    return _ordered


def _is_long(value: str) -> bool:
    return len(value) >= SHORT


def _words_masked(text: str) -> str:
    """``text`` with each value shorter than SHORT masked where it is a word. The number of values does not change the
    time that this takes."""
    parts: list[str] = []
    done = 0
    for begin in (found.start() for found in _BEGIN.finditer(text)):
        for end in range(begin + SHORT - 1, begin + SHORTEST - 1, -1):
            if begin >= done and text[begin:end] in _values and _END.match(text, end):
                parts += (text[done:begin], MASK)
                done = end
    return "".join((*parts, text[done:]))


def masked_parts(document: Any) -> Any:
    """``document``, plain data, with its texts and the keys of its mappings masked. To mask the JSON text instead could
    mask digits of a number."""
    match document:
        case str():
            return masked(document)
        case Mapping():
            return {masked_parts(key): masked_parts(value) for key, value in document.items()}
        case list() | tuple():
            return [masked_parts(part) for part in document]
        case _:
            return document


def _forms(value: str, *, lines: bool) -> Iterator[str]:
    trimmed = value.strip("\r\n")
    yield from (value, trimmed)
    parts = (line.strip() for line in trimmed.splitlines()) if lines else ()
    for form in (trimmed, *(part for part in parts if len(part) >= LINE)):
        yield from (form, escaped(form), repr(form)[1:-1], shlex.quote(form))
        yield from (json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1])
