"""The folders that are passed on the way to a path, as questions; and where a path leads that is a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.domain.question import Question, QuestionKind

_LINK_HOPS = 40
"""The kernel's own bound on links in one path."""


def way(path: str) -> Iterator[Question]:
    """Yield a question for each folder and link on the way to the absolute ``path``, also for those that a link leads
    through; not for the path itself."""
    left = [part for part in reversed(path.split("/")) if part]
    there, hops = "", 0
    yield Question(QuestionKind.FOLDER, "/")
    while len(left) > 1:
        part = left.pop()
        if part == "..":
            there = there.rpartition("/")[0]
            continue
        here = f"{there}/{part}"
        yield Question(QuestionKind.FOLDER, here)
        try:
            target = f"{Path(here).readlink()}"
        except OSError:
            there = here
            continue
        if (hops := hops + 1) > _LINK_HOPS:
            return
        there = "" if target.startswith("/") else there
        left.extend(part for part in reversed(target.split("/")) if part not in ("", "."))


def targets(path: str) -> Iterator[str]:
    """Yield the absolute paths that the link at the absolute ``path`` leads to, one link after another; none where it
    is no link. The last one may be of nothing."""
    here = Path(path)
    for _ in range(_LINK_HOPS):
        try:
            target = here.parent / here.readlink()
        except OSError:
            return
        here = Path(os.path.realpath(target.parent)) / target.name
        yield f"{here}"
