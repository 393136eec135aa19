"""Shell commands recognised by their text: a shape is a command with holes where its words stand.

A hole ``{path}`` takes one word as ``shlex.quote`` writes it; a hole that comes twice takes the same word each time. A
hole ``{end:[A-Z]+}`` takes what the expression behind the colon matches, as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Lines = list[str]

QUOTE = "'\"'\"'"
"""A single quote within a word, as ``shlex.quote`` writes it."""

_WORD = rf"[\w@%+=:,./-]+|'(?:[^']|{QUOTE})*'"
_HOLE = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<raw>[^}]+))?\}")


@dataclass(frozen=True, slots=True)
class Shape:
    """``answer``: the lines that such a command prints, and that it ends well, when called with the words in the
    holes; None where that is not certain."""

    text: re.Pattern[str]
    quoted: frozenset[str]
    answer: Callable[..., Lines | None]

    def lines(self, command: str) -> Lines | None:
        """None also for a command of another shape."""
        found = self.text.fullmatch(command)
        if found is None:
            return None
        words = found.groupdict().items()
        return self.answer(**{name: _unquoted(word) if name in self.quoted else word for name, word in words})


def shape(text: str, answer: Callable[..., Lines | None]) -> Shape:
    """The shape that ``text`` draws."""
    pattern, end = "", 0
    seen: dict[str, bool] = {}
    for hole in _HOLE.finditer(text):
        name, raw = hole["name"], hole["raw"]
        pattern += re.escape(text[end : hole.start()])
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{raw or _WORD})"
        seen.setdefault(name, raw is None)
        end = hole.end()
    expression = re.compile(pattern + re.escape(text[end:]), re.ASCII | re.DOTALL)
    return Shape(expression, frozenset(name for name, quoted in seen.items() if quoted), answer)


def _unquoted(word: str) -> str:
    return word[1:-1].replace(QUOTE, "'") if word.startswith("'") else word
