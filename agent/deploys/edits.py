"""Parts of a text that are owned while the rest is not: one line, or a block between two markers.

Pure: a text becomes the text with the part as it should be. Applying twice is the same as applying once. New lines get
the line ends of the rest of the text; lines are found whatever their own line ends.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

REPLACING = "~"
"""The sign behind the # in the key of a line that may replace others; the pattern of these follows it. In the key of
any other line, the line itself stands there."""


class Edit(ABC):
    """A part of a text, and the lines that it should be."""

    @abstractmethod
    def numbers(self, lines: Sequence[str]) -> list[int]:
        """The numbers of the lines that are the part now, in ascending order."""

    @abstractmethod
    def apply(self, text: str) -> str:
        """The text with the part as it should be."""

    def found(self, text: str) -> str:
        """The part as it stands in a text; empty where there is none."""
        lines = split(text)
        return "".join(lines[number] for number in self.numbers(lines))

    def without(self, text: str) -> str:
        """The text without the part."""
        return "".join(self._others(split(text)))

    def _others(self, lines: Sequence[str]) -> list[str]:
        mine = set(self.numbers(lines))
        return [line for number, line in enumerate(lines) if number not in mine]


@dataclass(frozen=True, slots=True)
class LineEdit(Edit):
    """One line of a text. ``match`` is a regular expression: the first line that it finds (or that is as wanted
    already) becomes ``line``, and the other lines that it finds are removed, because two settings of one thing would
    contradict each other. If it finds none, ``line`` is appended. If ``line`` is None, all lines that ``match`` finds
    are removed."""

    line: str | None
    match: str | None

    def numbers(self, lines: Sequence[str]) -> list[int]:
        pattern = re.compile(self.match) if self.match is not None else None
        line = None if self.line is None else body(self.line)
        bodies = enumerate(map(body, lines))
        return [number for number, each in bodies if each == line or (pattern and pattern.search(each))]

    def apply(self, text: str) -> str:
        lines = split(text)
        mine, rest = self.numbers(lines), self._others(lines)
        if self.line is None:
            return "".join(rest)
        line = body(self.line)
        wanted = line + end(rest or lines)
        if not mine:
            return "".join([*lines, wanted])
        first, *others = mine
        lines[first] = lines[first] if body(lines[first]) == line else wanted
        gone = set(others) if self.match is not None else set()
        return "".join(each for number, each in enumerate(lines) if number not in gone)


@dataclass(frozen=True, slots=True)
class BlockEdit(Edit):
    """Lines between two marker lines that name them. ``comment`` begins a comment in the file's language. If
    ``content`` is None, the block is removed with its markers. A marker without its partner is removed, and the lines
    around it stay: they may be a person's."""

    name: str
    content: str | None
    comment: str = "#"

    def numbers(self, lines: Sequence[str]) -> list[int]:
        """The numbers of the block's lines and markers, and of its stray markers."""
        found: list[int] = []
        begun: int | None = None
        for number, line in enumerate(lines):
            if self._is_marker(line, "BEGIN"):
                begun = number
                found.append(number)
            elif self._is_marker(line, "END"):
                found += range(number if begun is None else begun + 1, number + 1)
                begun = None
        return found

    def apply(self, text: str) -> str:
        lines = split(text)
        mine, kept = self.numbers(lines), self._others(lines)
        if self.content is not None:
            content = split(self.content)
            block = [f"{self.comment} BEGIN hostwright {self.name}", *map(body, content)]
            block.append(f"{self.comment} END hostwright {self.name}")
            place = mine[0] if mine else len(kept)
            ended = end(kept or content)
            kept[place:place] = [f"{line}{ended}" for line in block]
        return "".join(kept)

    def _is_marker(self, line: str, word: str) -> bool:
        return line.rstrip().endswith(f" {word} hostwright {self.name}")


_MARKER = re.compile(r" (BEGIN|END) hostwright \S")


def contains_marker(text: str | None) -> bool:
    """True if a line of ``text`` is, or could be taken for, a marker of a block. In a block it would end that block
    early, and the lines behind it would be written once more at each change."""
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
