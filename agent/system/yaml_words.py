"""The mistake behind a parser's complaint about YAML: its place, and what to write instead.

A parser stops where it cannot go on, often far behind the mistake: a quote that is never closed swallows the lines up
to the next one. The functions here look for the mistake in the text itself, and use only the kind of the parser's
message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.domain.merge_conflict import MERGE_CONFLICT, conflict_line
from agent.system.document import Key, Position, key_text


@dataclass(frozen=True, slots=True)
class YamlProblem:
    position: Position
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ParserStop:
    """The place where a parser stopped, and why. ``began``: the start of the part that it was reading. ``opened``: the
    innermost bracket that is open there. ``quote``: the last text in quotes before it, its first character and the one
    behind its last."""

    text: str
    at: Position
    why: str
    began: Position | None = None
    opened: Position | None = None
    quote: tuple[Position, Position] | None = None

    @property
    def lines(self) -> Sequence[str]:
        return self.text.split("\n")

    def place(self, line: int, column: int) -> Position:
        return Position(self.at.file, line, column)

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def character(self, at: Position) -> str:
        return self.line(at.line)[at.column - 1 : at.column]


_UNQUOTED = re.compile(r"(?:^|[:\-,\[{])\s+(?P<begin>\{\{|[*&!@%`|>])")
_NAMES = {"*": "an alias", "&": "an anchor", "!": "a tag", "%": "a directive", "|": "a block", ">": "a block"}
_QUOTE_IT = "put the whole text in quotes"
BRACES = ("a text that begins with {{ stands without quotes", _QUOTE_IT)
_SECTION = re.compile(r"\[[^\s\[\]{},\"':]+(:\w+)?\]\s*")


def explain(stop: ParserStop) -> YamlProblem:
    for look in _LOOKS:
        if (found := look(stop)) is not None:
            return found
    return YamlProblem(
        stop.at, "this cannot be read", "look at the quotes, brackets and indentation of this line and the last"
    )


def twice(key: Key, keys: Mapping[Key, Position]) -> tuple[str, str]:
    """The problem and the remedy if ``keys`` holds one that counts as ``key``: 1, 1.0 and true count as one."""
    first = next(known for known in keys if known == key)
    words, line = key_text(key), keys[key].line
    if isinstance(key, str):
        return f"the key {key!r} stands here twice, first in line {line}", "keep one of the two"
    remedy = "keep one of the two, or put what is a text in quotes"
    if words == key_text(first):
        return f"the key {words} stands here twice, first in line {line}", remedy
    return f"the keys {key_text(first)} (line {line}) and {words} count as one", remedy


def foreign_tag(tag: str | None, text: str = "") -> tuple[str, str]:
    """The problem and the remedy for a tag that is not read. ``text``: the scalar behind it, empty for a collection."""
    name = str(tag).replace("tag:yaml.org,2002:", "!!")
    if "vault" in name:
        remedy = "Ansible Vault is not read: `hostwright secret import` in the config repo makes a secret of it"
    elif name.startswith("!") and not name.startswith("!!") and not text:
        remedy = f'put it in quotes if it is a text: "{name}"'
    else:
        remedy = "leave the tag out, or put a text that begins with ! in quotes"
    return f"the tag {name} is not supported", remedy


def _conflict(stop: ParserStop) -> YamlProblem | None:
    line = conflict_line(stop.text)
    return YamlProblem(stop.place(line, 1), *MERGE_CONFLICT) if line is not None else None


def _ini(stop: ParserStop) -> YamlProblem | None:
    """The problem of a file that is INI: its first line is a section, or a comment behind a semicolon."""
    written = [(number, line) for number, line in enumerate(stop.lines, 1) if line.strip() and line.strip()[0] != "#"]
    number, first = next(iter(written), (1, ""))
    if first.startswith(";"):
        return YamlProblem(stop.place(number, 1), "; begins no comment in YAML", "begin it with #")
    if _SECTION.fullmatch(first):
        return YamlProblem(stop.place(number, 1), "this is INI, not YAML", "write `name: value` lines")
    return None


def _no_key(stop: ParserStop) -> YamlProblem | None:
    if "could not find expected ':'" not in stop.why or stop.began is None:
        return None
    return YamlProblem(
        stop.began, "neither `key: value` nor `- item`", "end a key with a colon, begin an item with a dash"
    )


def _directive(stop: ParserStop) -> YamlProblem | None:
    for number, line in enumerate(stop.lines, 1):
        if line.startswith("%") and ("directive" in stop.why or "document start" in stop.why):
            return YamlProblem(stop.place(number, 1), "a line begins with %", "put a text that begins with % in quotes")
    return None


def _tab(stop: ParserStop) -> YamlProblem | None:
    line = stop.line(stop.at.line)
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        return YamlProblem(
            stop.place(stop.at.line, indentation.index("\t") + 1), "a tab indents this line", "indent with spaces"
        )
    if stop.character(stop.at) == "\t":
        return YamlProblem(stop.at, "a tab stands here", "write a space")
    return None


def _escape(stop: ParserStop) -> YamlProblem | None:
    if "escape" not in stop.why and "hexdecimal" not in stop.why:
        return None
    return YamlProblem(
        stop.at, "a backslash in double quotes begins something else here", r"write \\, or use single quotes"
    )


def _open_quote(stop: ParserStop) -> YamlProblem | None:
    mark = stop.character(stop.began) if stop.began is not None else ""
    if stop.began is None or mark not in ("'", '"') or "quoted" not in stop.why:
        return None
    return YamlProblem(stop.began, f"the {mark} that opens here is never closed", f"end the text with {mark}")


def _late_quote(stop: ParserStop) -> YamlProblem | None:
    if stop.quote is None or stop.quote[1].line != stop.at.line or stop.opened is not None:
        return None
    first, last = stop.quote
    mark = stop.character(first)
    if first.line != last.line:
        problem = f"the {mark} that opens here is closed only in line {last.line}"
        return YamlProblem(first, problem, f"end the text with {mark} where it ends")
    if stop.at.column < last.column:
        return None
    inside = "two of them" if mark == "'" else r"\""
    return YamlProblem(
        last, f"text follows behind the closing {mark}", f"{_QUOTE_IT}; for a {mark} in it write {inside}"
    )


def _open_bracket(stop: ParserStop) -> YamlProblem | None:
    if stop.opened is None:
        return None
    mark = stop.line(stop.opened.line)[stop.opened.column - 1 :][:2]
    if mark == "{{":
        return YamlProblem(stop.opened, *BRACES)
    closing, found = ("]", "}") if mark[:1] == "[" else ("}", "]")
    if stop.character(stop.at) == found:
        return YamlProblem(stop.at, f"{found} closes the {mark[:1]} of line {stop.opened.line}", f"write {closing}")
    if stop.opened.line == stop.at.line and closing in stop.line(stop.at.line)[stop.at.column - 1 :]:
        remedy = "put a comma between two entries, and a text that holds : or , in quotes"
        return YamlProblem(stop.at, f"this does not belong between {mark[:1]} and {closing}", remedy)
    return YamlProblem(
        stop.opened, f"the {mark[:1]} that opens here is never closed", f"end what it holds with {closing}"
    )


def _unquoted(stop: ParserStop) -> YamlProblem | None:
    line = stop.line(stop.at.line)
    for found in _UNQUOTED.finditer(line):
        begin, column = found["begin"], found.start("begin") + 1
        if column > stop.at.column:
            break
        what = _NAMES.get(begin, "")
        problem = f"{begin} begins {what} in YAML" if what else f"a text that begins with {begin} stands without quotes"
        return YamlProblem(stop.place(stop.at.line, column), problem, _QUOTE_IT)
    return None


def _by_kind(stop: ParserStop) -> YamlProblem | None:
    """The problem for any other mistake, by the parser's message."""
    line = stop.line(stop.at.line)
    start = stop.place(stop.at.line, len(line) - len(line.lstrip()) + 1)
    if "mapping values are not allowed" in stop.why and re.search(r":\s", line[: stop.at.column - 1]):
        return YamlProblem(stop.at, "a second colon in one line", "put a text that holds ': ' in quotes")
    if "block mapping" in stop.why and line.lstrip().startswith("- "):
        return YamlProblem(
            start, "an item of a list among the keys of a mapping", "indent it below the key that it belongs to"
        )
    for word, problem, remedy in _BY_KIND:
        if word in stop.why:
            return YamlProblem(start, problem, remedy)
    return None


_BY_KIND = (
    (
        "mapping values are not allowed",
        "this key stands below a line that cannot hold it",
        "indent it as the line above, or let that one end with a colon and nothing behind it",
    ),
    (
        "sequence entries are not allowed",
        "a list begins behind a key",
        "begin it in a line of its own, or write [a, b]",
    ),
    (
        "block collection",
        "a line among the items of a list that is none",
        "begin it with a dash, or indent it as what it belongs to",
    ),
    (
        "block mapping",
        "this line is indented like none above it",
        "indent keys of one mapping by the same number of spaces",
    ),
    ("node content", "a value is missing in this line", "write the value, or leave out what follows"),
)


_LOOKS = (
    _conflict,
    _ini,
    _directive,
    _tab,
    _escape,
    _open_quote,
    _late_quote,
    _open_bracket,
    _unquoted,
    _no_key,
    _by_kind,
)
"""The functions that look for a mistake, the surest first."""
