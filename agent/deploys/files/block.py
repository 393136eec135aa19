"""Lines of a file between two markers: ``block:/etc/hosts#lab``.

State: ``sha256`` of the lines with their markers, which are also the image.
"""

from __future__ import annotations

from agent.deploys.edits import BlockEdit
from agent.deploys.files.part import Part, rewrite
from agent.deploys.items import Item
from agent.domain.ownership import LedgerEntry
from agent.errors import DeployError


class Block(Part):
    """``block``."""

    def edit(self, item: Item) -> BlockEdit:
        return BlockEdit(item.part or "", item.text, item.comment)

    def named(self, part: str) -> BlockEdit:
        return BlockEdit(part, None)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if image is None:
            raise DeployError(f"{entry.key}: what was in it was not kept")
        lines = image.decode(errors="surrogateescape")
        rewrite(path, lambda text: self.named(part).without(text) + lines)
