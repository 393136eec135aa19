"""What all kinds of things at a path have in common: File, Directory, Link, and Block and Line, which are in a file.

Beside what the ledger asks of a ``Kind``, each compares an item with what is at its path, and makes it so.
"""

from __future__ import annotations

import stat
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from agent.deploys.at_path import AtPath
from agent.deploys.items import Item
from agent.deploys.kind import Kind
from agent.deploys.owners import Owner
from agent.deploys.place import Spot
from agent.domain.plan import WantedChange

Content = Callable[[], bytes]
"""Reads what a file should hold. Raises DeployError."""


class PathKind(Kind):
    """One kind of thing at a path."""

    calm = True

    in_place: ClassVar[int] = 0
    """The type (``stat.S_IFMT``) that can be put right where something is mounted on it; 0 for none."""

    def content(self, item: Item, root: Path) -> bytes:  # noqa: ARG002 - only files have one
        """What a file should hold, of the commit's files below ``root``. Raises DeployError."""
        return b""

    def find(self, spot: Spot, item: Item) -> AtPath:  # noqa: ARG002 - most kinds look at nothing else
        """What is there instead of the item. Raises OSError."""
        return spot.look()

    @abstractmethod
    def difference(self, item: Item, found: AtPath, owner: Owner, content: Content) -> WantedChange | None:
        """What would be done, None where all is as it should be. ``content`` is asked only where it is needed."""

    @abstractmethod
    def make(self, spot: Spot, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        """Puts right what ``found`` has wrong, whole or not at all. Returns what there is to tell, mostly nothing.
        Raises DeployError, OSError."""

    def content_after(self, item: Item, found: AtPath) -> bytes | None:  # noqa: ARG002
        """Of what others may be parts of too: the content that the next one finds. None for the whole of a file."""
        return None


def refused(item: Item, why: str) -> WantedChange:
    """A change that fails because of what is there."""
    return WantedChange(item.key, why, refused=True)


def in_the_way(item: Item, found: AtPath) -> WantedChange:
    """A change that fails because a person has to move something away first."""
    return refused(item, f"{found.described} is in the way of a {item.kind}; move it away")


def is_private(found: AtPath) -> bool:
    """Whether it is a file that others may not read."""
    return found.type == stat.S_IFREG and not found.mode & stat.S_IROTH
