"""One line of a file.

    line:/etc/hosts#10.0.0.1 a                     word for word. State: itself, under ``line``
    line:/etc/ssh/sshd_config#~^PermitRoot         one that may take the place of others, by the pattern that finds them

State of the second: ``sha256`` of the lines found, which are also the image, and ``at``, their numbers, from 0.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from functools import partial
from typing import cast

from agent.deploys.edits import REPLACING, LineEdit, split
from agent.deploys.files.part import Part, rewrite
from agent.deploys.items import Item
from agent.deploys.kind import state_before
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError

_LINES_LIMIT = 1000
"""Lines that one line may replace; a pattern that finds more is hardly meant to."""


class Line(Part):
    """``line``."""

    def edit(self, item: Item) -> LineEdit:
        return LineEdit(item.text, item.match)

    def named(self, part: str) -> LineEdit:
        if part.startswith(REPLACING):
            return LineEdit(None, part.removeprefix(REPLACING))
        return LineEdit(part, None)

    def seen(self, part: str, text: str) -> Seen | None:
        found = super().seen(part, text)
        if found is None:
            return None
        if not part.startswith(REPLACING):
            return Seen({"line": part})
        at = self.named(part).numbers(split(text))
        if len(at) > _LINES_LIMIT:
            raise OSError(errno.EFBIG, f"its pattern finds {len(at)} lines")
        return Seen({**found.state, "at": at}, found.image)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if not part.startswith(REPLACING):
            rewrite(path, self.named(part).apply)
            return
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: the lines that it replaced were not kept")
        were = split(image.decode(errors="surrogateescape"))
        rewrite(path, partial(_with, self.named(part), were, cast("Sequence[int]", before["at"])))


def _with(now: LineEdit, were: Sequence[str], at: Sequence[int], text: str) -> str:
    """The lines that ``were`` there in place of those that are; where there is none, at their old numbers."""
    there = now.numbers(split(text))
    moved = there[0] - at[0] if there else 0
    lines = split(now.without(text))
    for number, line in zip(at, were, strict=True):
        lines.insert(number + moved, line)
    return "".join(lines)
