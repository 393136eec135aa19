"""Parts of a text that are owned while the rest is not: one line, or a block between two markers.

Pure: a text becomes the text with the part as it should be. Applying twice is the same as applying once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

REPLACING = "~"
"""Begins what stands behind the # in the key of a line that may take the place of others, then their pattern; any
other line is known by what it says."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text. Where ``match`` (a regular expression) is given, the first line that it is found in (or
    that already is as wanted) becomes ``line``, and the other lines that it is found in go: two settings of one
    thing would contradict each other. Nothing found: ``line`` is appended. Without ``line``, what matches goes."""

    line: str | None
    match: str | None

    def apply(self, text: str) -> str:
        pattern = re.compile(self.match) if self.match is not None else None
        lines = _lines(text)
        mine = [i for i, line in enumerate(lines) if line == self.line or (pattern and pattern.search(line))]
        if self.line is None:
            return _text(line for i, line in enumerate(lines) if i not in set(mine))
        if not mine:
            return _text([*lines, self.line])
        others = set(mine[1:]) if pattern else set()
        return _text(self.line if i == mine[0] else line for i, line in enumerate(lines) if i not in others)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines between two marker lines that name them. ``comment`` begins a comment in the file's language. Without
    ``content`` the block goes, with its markers. A marker that lost its partner is dropped, the lines around it
    stay: they may be a person's."""

    name: str
    content: str | None
    comment: str = "#"

    def apply(self, text: str) -> str:
        lines = _lines(text)
        spans = self._spans(lines)
        mine = {number for span in spans for number in span}
        kept = [line for number, line in enumerate(lines) if number not in mine]
        if self.content is not None:
            block = [f"{self.comment} BEGIN hostwright {self.name}", *_lines(self.content)]
            block.append(f"{self.comment} END hostwright {self.name}")
            place = spans[0].start if spans else len(kept)
            kept[place:place] = block
        return _text(kept)

    def found(self, text: str) -> str:
        """The block as it stands in a text, with its markers; empty where there is none."""
        lines = _lines(text)
        return _text(lines[number] for span in self._spans(lines) for number in span)

    def _spans(self, lines: list[str]) -> list[range]:
        """Where the block, and stray markers of it, stand."""
        spans: list[range] = []
        position = 0
        while position < len(lines):
            if self._is_marker(lines[position], "BEGIN", "END"):
                spans.append(range(position, self._behind(lines, position)))
                position = spans[-1].stop
            else:
                position += 1
        return spans

    def _behind(self, lines: list[str], position: int) -> int:
        """Where the text goes on behind the block, or the stray marker, that begins at ``position``."""
        if self._is_marker(lines[position], "BEGIN"):
            for later in range(position + 1, len(lines)):
                if self._is_marker(lines[later], "BEGIN"):
                    break
                if self._is_marker(lines[later], "END"):
                    return later + 1
        return position + 1

    def _is_marker(self, line: str, *words: str) -> bool:
        return any(line.rstrip().endswith(f" {word} hostwright {self.name}") for word in words)


Edit = Line | Block


def _lines(text: str) -> list[str]:
    """Split at newlines only: a form feed or a lone carriage return inside a line is the file's business."""
    return text.removesuffix("\n").split("\n") if text else []


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
