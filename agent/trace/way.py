"""Questions about the folders on the way to a path, and the targets of a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.domain.question import Question, QuestionKind

_LINK_HOPS = 40
"""The kernel's own bound on links in one path."""


def way(path: str, passed: dict[str, str] | None = None) -> Iterator[Question]:
    """Yield a question for each folder and link on the way to the absolute ``path``, also for those on the way that a
    link leads; not for the path itself. ``passed``: the targets of links by path (empty: no link), of the paths that
    earlier calls asked about; there is no second question about these."""
    passed = {} if passed is None else passed
    left = [part for part in reversed(path.split("/")) if part]
    there, hops = "", 0
    if "/" not in passed:
        passed["/"] = ""
        yield Question(QuestionKind.FOLDER, "/")
    while len(left) > 1:
        part = left.pop()
        if part == "..":
            there = there.rpartition("/")[0]
            continue
        here = f"{there}/{part}"
        if here not in passed:
            passed[here] = _target(here)
            yield Question(QuestionKind.FOLDER, here)
        target = passed[here]
        if not target:
            there = here
            continue
        if (hops := hops + 1) > _LINK_HOPS:
            return
        there = "" if target.startswith("/") else there
        left.extend(part for part in reversed(target.split("/")) if part not in ("", "."))


def targets(path: str) -> Iterator[str]:
    """Yield the absolute paths that the link at the absolute ``path`` leads to, one link after another; none where it
    is no link. The last one need not exist."""
    here = Path(path)
    for _ in range(_LINK_HOPS):
        try:
            target = here.parent / here.readlink()
        except OSError:
            return
        here = Path(os.path.realpath(target.parent)) / target.name
        yield f"{here}"


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path takes longer than the kernel
    except OSError:
        return ""
