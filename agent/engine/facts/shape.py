"""Shell commands recognised by their text: a shape is a command with holes in place of some words.

A hole ``{path}`` takes one word as ``shlex.quote`` writes it; a hole that comes twice takes the same word each time. A
hole ``{end:[A-Z]+}`` takes the text that the expression behind the colon matches, unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

Lines = list[str]

QUOTE = "'\"'\"'"
"""A single quote within a word, as ``shlex.quote`` writes it."""

_WORD = rf"[\w@%+=:,./-]+|'(?:[^']|{QUOTE})*'"
_HOLE = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<raw>[^}]+))?\}")


class Rests(Enum):
    """The kinds of things that the output of a command rests on; ``questions`` makes questions of the kind and the
    words in the holes."""

    ON_STATUS = auto()
    ON_CONTENT = auto()
    ON_TREE = auto()
    ON_PROGRAM = auto()
    ON_PROGRAM_AND_ANSWER = auto()
    ON_KERNEL = auto()
    ON_TIME = auto()
    ON_HOME = auto()
    ON_USERS = auto()
    ON_PACKAGES = auto()
    ON_UNIT = auto()


class Shape:
    """A command in the form of ``text``.

    ``answer``, called with the words in the holes, returns the lines that such a command prints where it ends well;
    None where they are not certain.
    """

    def __init__(self, text: str, answer: Callable[..., Lines | None], rests: Rests) -> None:
        self._text = text
        self.answer = answer
        self.rests = rests
        self._begin = text.partition("{")[0]
        self._quoted: set[str] = set()
        self._expression: re.Pattern[str] | None = None

    def words(self, command: str) -> dict[str, str] | None:
        """The words in the holes; None for a command of another shape."""
        if not command.startswith(self._begin):
            return None
        # Compiled on demand: most shapes never come up, and an expression takes a millisecond.
        self._expression = self._expression or self._compiled()
        found = self._expression.fullmatch(command)
        if found is None:
            return None
        return {name: _unquoted(word) if name in self._quoted else word for name, word in found.groupdict().items()}

    def _compiled(self) -> re.Pattern[str]:
        pattern, end = "", 0
        seen: set[str] = set()
        for hole in _HOLE.finditer(self._text):
            name, raw = hole["name"], hole["raw"]
            pattern += re.escape(self._text[end : hole.start()])
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{raw or _WORD})"
            seen.add(name)
            if raw is None and f"{{{name}:" not in self._text:
                self._quoted.add(name)
            end = hole.end()
        return re.compile(pattern + re.escape(self._text[end:]), re.ASCII | re.DOTALL)


def _unquoted(word: str) -> str:
    return word[1:-1].replace(QUOTE, "'") if word.startswith("'") else word
