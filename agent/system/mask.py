"""Values of secrets that this process has seen, and texts without them.

Every way out asks ``masked``: the log, the terminal, and what the engine child says. A value is masked whole, for the
life of the process, in the forms in which programs print it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.domain.text import escaped

MASK = "[secret]"

SHORT, SHORTEST = 4, 2
"""Characters. A value below SHORT is masked only where it is a word of its own, and one below SHORTEST not at all:
nothing of any text would be readable."""

LINE = 8
"""Characters of a line of a longer value, from which it is masked by itself."""

_values: set[str] = set()
_ordered: list[str] = []
_words: re.Pattern[str] | None = None


def remember(value: str, *, lines: bool = True) -> None:
    """``value`` is a secret from now on; with ``lines`` its longer lines are, too."""
    global _words  # noqa: PLW0603 - like the other two, for the life of the process
    found = {form for form in _forms(value, lines=lines) if len(form.strip()) >= SHORTEST} - _values
    if found:
        _values.update(found)
        _ordered[:] = sorted(_values, key=len, reverse=True)
        words = "|".join(map(_word, filter(_is_short, _ordered)))
        _words = re.compile(words) if words else None


def remember_all(values: Iterable[str]) -> None:
    for value in values:
        remember(value)


def values() -> tuple[str, ...]:
    """What is masked, the longest first: for a child process that is to mask the same."""
    return tuple(_ordered)


def masked(text: str) -> str:
    """``text`` with each remembered value replaced."""
    for value in _ordered:
        if value in text and not _is_short(value):
            text = text.replace(value, MASK)
    return _words.sub(MASK, text) if _words else text


def _is_short(value: str) -> bool:
    return len(value) < SHORT


def _word(value: str) -> str:
    """A pattern for ``value`` where it is a word of its own: no letter beside one of its letters, only blanks beside
    anything else."""
    before, after = (r"\w" if re.match(r"\w", end) else r"\S" for end in (value[0], value[-1]))
    return rf"(?<!{before}){re.escape(value)}(?!{after})"


def masked_parts(document: Any) -> Any:
    """``document``, of plain data, with its texts and the keys of its mappings masked. Masked as text, JSON could lose
    the digits of a number."""
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
