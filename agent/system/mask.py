"""Values of secrets that this process has seen, and texts without them.

Every way out asks ``masked``: the log, the terminal, and what the engine child says. A value is masked whole, for the
life of the process, in the forms in which programs print it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.domain.text import escaped

MASK = "[secret]"

SHORTEST = 4
"""Characters; masking shorter values would leave nothing readable of any text."""

LINE = 8
"""Characters of a line of a longer value, from which it is masked by itself."""

_values: set[str] = set()
_ordered: list[str] = []


def remember(value: str, *, lines: bool = True) -> None:
    """``value`` is a secret from now on; with ``lines`` its longer lines are, too."""
    found = {form for form in _forms(value, lines=lines) if len(form) >= SHORTEST} - _values
    if found:
        _values.update(found)
        _ordered[:] = sorted(_values, key=len, reverse=True)


def remember_all(values: Iterable[str]) -> None:
    for value in values:
        remember(value)


def values() -> tuple[str, ...]:
    """What is masked, the longest first: for a child process that is to mask the same."""
    return tuple(_ordered)


def masked(text: str) -> str:
    """``text`` with each remembered value replaced."""
    for value in _ordered:
        if value in text:
            text = text.replace(value, MASK)
    return text


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
