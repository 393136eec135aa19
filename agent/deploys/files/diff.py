"""Two contents turned into a diff for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from agent.deploys.at_path import CONTENT_LIMIT

DIFF_LIMIT = 64 * 1024
"""The most characters of a diff that are kept. Who needs more of it looks at the files."""

TEXT_LIMIT = 256 * 1024
"""The most bytes of a text that is compared line by line. For more, comparing takes long, and nobody reads the
result."""


def unified(path: str, before: bytes | None, after: bytes, *, around: int = 3) -> str:
    """A unified diff of at most about ``DIFF_LIMIT`` characters; only the sizes if either content is no text, or above
    ``TEXT_LIMIT``. ``before`` is None if it was too large to be read. ``around``: the number of unchanged lines
    shown."""
    if before is None:
        return f"more than {CONTENT_LIMIT} → {len(after)} bytes\n"
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"binary, {len(before)} → {len(after)} bytes\n"
    if max(len(before), len(after)) > TEXT_LIMIT:
        return f"text, {len(before)} → {len(after)} bytes\n"
    text = ""
    for line in _compared(old, new, f"{path} (found)", f"{path} (wanted)", around):
        text += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if len(text) > DIFF_LIMIT:
            return f"{text[:DIFF_LIMIT]}\n… (cut at {DIFF_LIMIT} characters)\n"
    return text


def _compared(old: list[str], new: list[str], found: str, wanted: str, around: int) -> Iterable[str]:
    """``difflib.unified_diff``. If one side is empty, as with each new file, there is no search for common lines: that
    takes 0.09 ms for 1,000 lines."""
    if bool(old) == bool(new):
        return difflib.unified_diff(old, new, found, wanted, n=around)
    sign, sides = ("-", f"-{_range(old)} +0,0") if old else ("+", f"-0,0 +{_range(new)}")
    return [f"--- {found}\n", f"+++ {wanted}\n", f"@@ {sides} @@\n", *(f"{sign}{line}" for line in old or new)]


def _range(lines: list[str]) -> str:
    return "1" if len(lines) == 1 else f"1,{len(lines)}"


def _lines(content: bytes) -> list[str] | None:
    if b"\0" in content:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
