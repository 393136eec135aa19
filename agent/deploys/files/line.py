"""One line of a file.

    line:/etc/hosts#10.0.0.1 a                     word for word. State: itself, under ``line``
    line:/etc/ssh/sshd_config#~^PermitRoot         one that may take the place of others, by the pattern that finds them

State of the second: ``sha256`` of the lines found, which are also the image, and ``at``, their numbers, from 0.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Sequence
from functools import partial
from typing import cast

from agent.deploys.edits import REPLACING, LineEdit, body, split
from agent.deploys.files.part import Part, rewrite
from agent.deploys.items import Item
from agent.deploys.kind import ResourceState, state_before
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError

_LINES_LIMIT = 1000
"""Lines that one line may replace; a pattern that finds more is hardly meant to."""


class Line(Part):
    """``line``."""

    def edit(self, item: Item) -> LineEdit:
        return LineEdit(item.text, item.match)

    def seen(self, part: str, text: str) -> Seen | None:
        lines = split(text)
        mine = _found_in(lines, part)
        if not mine:
            return None
        if not part.startswith(REPLACING):
            return Seen({"line": part})
        if len(mine) > _LINES_LIMIT:
            raise OSError(errno.EFBIG, f"its pattern finds {len(mine)} lines")
        image = "".join(lines[number] for number in mine).encode(errors="surrogateescape")
        return Seen({"sha256": hashlib.sha256(image).hexdigest(), "at": list(mine)}, image)

    def changed(self, left: ResourceState, now: Seen) -> str:
        """Nobody can change a line that is known by what it says."""
        return "" if left.get("sha256") == now.state.get("sha256") else "content"

    def without(self, part: str, text: str) -> str:
        lines = split(text)
        gone = set(_found_in(lines, part))
        return "".join(line for number, line in enumerate(lines) if number not in gone)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if not part.startswith(REPLACING):
            rewrite(path, LineEdit(part, None).apply)
            return
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: the lines that it replaced were not kept")
        were = split(image.decode(errors="surrogateescape"))
        rewrite(path, partial(self._with, part, were, cast("Sequence[int]", before["at"])))

    def _with(self, part: str, were: Sequence[str], at: Sequence[int], text: str) -> str:
        """The lines that ``were`` there in place of those that are; where there is none, at their old numbers."""
        there = _found_in(split(text), part)
        moved = there[0] - at[0] if there else 0
        lines = split(self.without(part, text))
        for number, line in zip(at, were, strict=True):
            lines.insert(number + moved, line)
        return "".join(lines)


def _found_in(lines: Sequence[str], part: str) -> list[int]:
    """The numbers of the lines that the ``part`` of a key means."""
    if not part.startswith(REPLACING):
        return [number for number, line in enumerate(lines) if body(line) == body(part)]
    pattern = re.compile(part.removeprefix(REPLACING))
    return [number for number, line in enumerate(lines) if pattern.search(body(line))]
