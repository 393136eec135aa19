"""Lines of a file between two markers: ``block:/etc/hosts#lab``.

State: ``sha256`` of the lines with their markers, which are also the image.
"""

from __future__ import annotations

import hashlib

from agent.deploys.edits import BlockEdit
from agent.deploys.files.part import Part, rewrite
from agent.deploys.items import Item
from agent.deploys.kind import ResourceState
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class Block(Part):
    """``block``."""

    def edit(self, item: Item) -> BlockEdit:
        return BlockEdit(item.part or "", item.text, item.comment)

    def seen(self, part: str, text: str) -> Seen | None:
        block = BlockEdit(part, None).found(text).encode(errors="surrogateescape")
        return Seen({"sha256": hashlib.sha256(block).hexdigest()}, block) if block else None

    def changed(self, left: ResourceState, now: Seen) -> str:
        return "" if left == now.state else "content"

    def without(self, part: str, text: str) -> str:
        block = BlockEdit(part, None)
        return block.apply(text) if block.found(text) else text

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if image is None:
            raise DeployError(f"{entry.key}: what was in it was not kept")
        lines = image.decode(errors="surrogateescape")
        rewrite(path, lambda text: _ended(self.without(part, text)) + lines)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
