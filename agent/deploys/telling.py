"""The line of a program's output that gives the reason why it failed: rarely the first, and often not the last.
Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.system.process import Completed

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours and other sequences for terminals (ECMA-48), and control characters."""

_TALK = re.compile(
    r"""
      Executing:\ |Synchronizing\ state\ of\ |.*\ is\ not\ a\ native\ service,\ redirecting
    | (?:Created\ symlink|Removed)\ |Unit\ \S+\ is\ added\ as\ a\ dependency
    | See\ "|See\ system\ logs|hint:\ |Usage:\ |Try\ '|warning:\ |W:\ |N:\ |WARN|time=.*\ level=(?:info|warning|debug)
    | .*\ error\ detected,\ changes\ ignored|debconf:\ |perl:\ warning
    """,
    re.VERBOSE,
)
"""Lines that give no reason: progress, pointers to more text, warnings."""

_POINTER = re.compile(r"\s*\^[~^]*\s*")
"""A line that points at a syntax error in the line above."""

_VERDICT = re.compile(r"(?:^|[\s:])(?:error|fatal|failed|refused|refusing|cannot|denied)\b[ :]?", re.IGNORECASE)


def telling_line(text: str) -> str:
    """The line of ``text`` that says what went wrong, on one line and without sequences for terminals; empty where
    there is none."""
    lines = plain_lines(text)
    said = [line for line in lines if not _TALK.match(line) and not _POINTER.fullmatch(line)] or lines
    found = next((number for number, line in enumerate(said) if _VERDICT.search(line)), len(said) - 1)
    # A line that ends with a colon only announces the next one: rpm's "Failed dependencies:".
    return " ".join(said[found : found + 2]) if said and said[found].endswith(":") else "".join(said[found : found + 1])


def reason(done: Completed) -> str:
    """The reason why a program did not end well, in its own words; never empty."""
    said = (telling_line(stream.decode(errors="replace")) for stream in (done.error, done.output))
    return next(filter(None, said), done.complaint)


def plain_lines(text: str) -> Sequence[str]:
    """The lines that are not empty, without sequences for terminals and without what a carriage return overwrites."""
    lines = (_CONTROL.sub("", line.rpartition("\r")[2] or line).strip() for line in text.splitlines())
    return [line for line in lines if line]
