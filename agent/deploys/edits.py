"""Parts of a text that are owned while the rest is not: one line, or a block between two markers.

Pure: a text becomes the text with the part as it should be. Applying twice is the same as applying once. What is
written has the line ends of the rest of the text, and what is looked for is found whatever its line end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

REPLACING = "~"
"""Begins what stands behind the # in the key of a line that may take the place of others, then their pattern; any
other line is known by what it says."""


@dataclass(frozen=True, slots=True)
class LineEdit:
    """One line of a text. ``match`` is a regular expression: the first line that it finds (or that is as wanted
    already) becomes ``line``, and the other lines that it finds are removed, because two settings of one thing would
    contradict each other. Where it finds none, ``line`` is appended. Without ``line``, all that it finds is removed."""

    line: str | None
    match: str | None

    def apply(self, text: str) -> str:
        pattern = re.compile(self.match) if self.match is not None else None
        lines, line = split(text), None if self.line is None else body(self.line)
        bodies = [body(each) for each in lines]
        mine = [i for i, each in enumerate(bodies) if each == line or (pattern and pattern.search(each))]
        rest = [each for i, each in enumerate(lines) if i not in set(mine)]
        if line is None:
            return "".join(rest)
        wanted = line + end(rest or lines)
        if not mine:
            return "".join([*lines, wanted])
        others = set(mine[1:]) if pattern else set()
        first = lines[mine[0]] if bodies[mine[0]] == line else wanted
        return "".join(first if i == mine[0] else each for i, each in enumerate(lines) if i not in others)


@dataclass(frozen=True, slots=True)
class BlockEdit:
    """Lines between two marker lines that name them. ``comment`` begins a comment in the file's language. Without
    ``content`` the block goes, with its markers. A marker that lost its partner is dropped, the lines around it
    stay: they may be a person's."""

    name: str
    content: str | None
    comment: str = "#"

    def apply(self, text: str) -> str:
        lines = split(text)
        spans = self._spans(lines)
        mine = {number for span in spans for number in span}
        kept = [line for number, line in enumerate(lines) if number not in mine]
        if self.content is not None:
            content = split(self.content)
            block = [f"{self.comment} BEGIN hostwright {self.name}", *map(body, content)]
            block.append(f"{self.comment} END hostwright {self.name}")
            place = spans[0].start if spans else len(kept)
            ended = end(kept or content)
            kept[place:place] = [f"{line}{ended}" for line in block]
        return "".join(kept)

    def found(self, text: str) -> str:
        """The block as it stands in a text, with its markers; empty where there is none."""
        lines = split(text)
        return "".join(lines[number] for span in self._spans(lines) for number in span)

    def _spans(self, lines: list[str]) -> list[range]:
        """Ranges of lines: the block, and stray markers of it."""
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
        """The number of the line behind the block, or the stray marker, that begins at ``position``."""
        if self._is_marker(lines[position], "BEGIN"):
            for later in range(position + 1, len(lines)):
                if self._is_marker(lines[later], "BEGIN"):
                    break
                if self._is_marker(lines[later], "END"):
                    return later + 1
        return position + 1

    def _is_marker(self, line: str, *words: str) -> bool:
        return any(line.rstrip().endswith(f" {word} hostwright {self.name}") for word in words)


Edit = LineEdit | BlockEdit

_MARKER = re.compile(r" (BEGIN|END) hostwright \S")


def holds_marker(text: str | None) -> bool:
    """Whether a line of ``text`` is, or could be taken for, a marker of a block: as a part of a file it would end that
    block early, and what stands behind it would be written once more with each look."""
    return text is not None and _MARKER.search(text) is not None


def split(text: str) -> list[str]:
    """Lines with their ends, at newlines only: a form feed or a lone carriage return inside a line is the file's
    business. A last line without an end gets that of the others."""
    lines = text.split("\n")
    last = lines.pop()
    ended = [f"{line}\n" for line in lines]
    return [*ended, f"{body(last)}{end(ended)}"] if last else ended


def body(line: str) -> str:
    """``line`` without its end."""
    return line.removesuffix("\n").removesuffix("\r")


def end(lines: Sequence[str]) -> str:
    """The end that most of ``lines`` have."""
    returns = sum(line.endswith("\r\n") for line in lines)
    return "\r\n" if returns > len(lines) - returns else "\n"
