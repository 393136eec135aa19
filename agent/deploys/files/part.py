"""Parts of a file whose other lines are not the agent's: a block or a line."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys.at_path import AtPath, Owner
from agent.deploys.edits import REPLACING, BlockEdit, Edit, LineEdit, contains_marker, split
from agent.deploys.files.file import approval
from agent.deploys.files.path_kind import PathKind, is_private, refused, work_at
from agent.deploys.items import FILE_MODE, SECRET_MODE, Item
from agent.deploys.kind import ResourceState, state_before
from agent.deploys.place import OpenPlace, Place, place_of
from agent.deploys.writing import forget_backup, put_file
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.system.safe_open import is_trusted, renamer, user_name

_LINES_LIMIT = 1000
"""The most lines that one line may replace. A pattern that finds more is hardly meant to."""


class Part(PathKind):
    """A part of a file, named by the text behind the # in its key."""

    in_place = stat.S_IFREG

    @abstractmethod
    def edit(self, item: Item) -> Edit:
        """The edit that makes a text hold the item."""

    @abstractmethod
    def named(self, part: str) -> Edit:
        """The edit that finds the ``part`` of a key."""

    def seen(self, part: str, text: str) -> Seen | None:
        """The state of ``part`` in a file's text, with its lines as the image; None if it is not there."""
        found = _encoded(self.named(part).found(text))
        return Seen({"sha256": hashlib.sha256(found).hexdigest()}, found) if found else None

    def changed(self, left: ResourceState, now: Seen) -> str:
        """The difference, in a word; empty for none. A line word for word never differs: with another text it is
        another line."""
        return "" if left.get("sha256") == now.state.get("sha256") else "content"

    def find(self, at: OpenPlace, item: Item) -> AtPath:
        found = at.look()
        return replace(found, stranger=_stranger(at, found)) if item.secret else found

    def content(self, item: Item, found: AtPath, root: Path = Path("/")) -> bytes:
        del root
        return _encoded(self.edit(item).apply(_text(found)))

    def difference(self, item: Item, found: AtPath, owner: Owner) -> WantedChange | None:
        del owner
        if found.type not in (0, stat.S_IFREG):
            hint = "; name the file that it leads to" if found.type == stat.S_IFLNK else ""
            return refused(item, f"cannot edit {found.described}{hint}")
        if found.status is not None and found.content is None:
            return refused(item, "cannot edit a file of this size")
        if why := _why_not(item, found):
            return refused(item, why)
        if self.content(item, found) == (found.content or b""):
            return None
        name = (item.part or "").removeprefix(REPLACING)
        operation = f"edit {name}" if found.status else f"create file with {name}"
        return WantedChange(item.key, operation, private=item.secret or is_private(found))

    def make(self, at: OpenPlace, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        del content
        attributes = found.attributes or owner.attributes(item.path, SECRET_MODE if item.secret else FILE_MODE)
        after = self.content(item, found)
        approve = approval(at, item, attributes.mode)
        return put_file(at.parent, at.name, after, attributes, backup=item.backup, approve=approve, batch=at.batch)

    def look(self, name: str) -> Seen | None:
        path, _, part = name.partition("#")
        found = _look(place_of(path))
        if found.type == stat.S_IFREG and found.content is None:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return self.seen(part, _text(found))

    def remove_one(self, entry: LedgerEntry) -> None:
        path, _, part = entry.name.partition("#")

        def unchanged(text: str) -> str:
            now = self.seen(part, text)
            if now is None:
                return text
            if entry.left is not None and (reason := self.changed(entry.left, now)):
                raise DeployError(f"changed since: {reason}")
            return self.named(part).without(text)

        rewrite(path, unchanged)


class Block(Part):
    """Lines of a file between two markers: ``block:/etc/hosts#lab``.

    State: ``sha256`` of the lines with their markers, which are also the image.
    """

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


class Line(Part):
    """One line of a file.

        line:/etc/hosts#10.0.0.1 a              word for word. State: itself, under ``line``
        line:/etc/ssh/sshd_config#~^PermitRoot  one that may take the place of others, by the pattern that finds them

    State of the second: ``sha256`` of the lines found, which are also the image, and ``at``, their numbers, from 0.
    """

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
    """``text`` with the lines that ``were`` there, in place of those that ``now`` finds; if it finds none, at their old
    numbers, ``at``."""
    there = now.numbers(split(text))
    moved = there[0] - at[0] if there else 0
    lines = split(now.without(text))
    for number, line in zip(at, were, strict=True):
        lines.insert(number + moved, line)
    return "".join(lines)


def rewrite(path: str, change: Callable[[str], str]) -> None:
    """Give a file another text and leave everything else as it was. A file that is not there, or too large to be read,
    is left alone. Raises DeployError, OSError."""
    place = place_of(path)
    found = _look(place)
    attributes = found.attributes
    if place is None or attributes is None or found.content is None:
        return
    after = change(_text(found))
    if after == _text(found):
        return

    def put(at: OpenPlace) -> None:
        put_file(at.parent, at.name, _encoded(after), attributes, backup=False)
        forget_backup(at.parent, at.name)

    work_at(place, put)


def _look(place: Place | None) -> AtPath:
    return place.look() if place is not None else AtPath()


def _why_not(item: Item, found: AtPath) -> str:
    """The reason why the part, or a secret in it, may not be written there; empty if it may."""
    if contains_marker(item.text):
        return "a line of it is a marker of a block, BEGIN or END hostwright: leave that line out"
    if not item.secret:
        return ""
    if found.stranger:
        remedy = "give file and folder to root (chown, chmod go-w), or write the whole file with its `owner`"
        return f"a part of it is secret, and {found.stranger}: {remedy}"
    if found.mode & stat.S_IRWXO:
        return f"a part of it is secret, and others may read it (mode {found.mode:04o}): chmod o= it"
    if item.kind == "line" and "\n" in (item.text or ""):
        return "the secret has several lines, and a line is one; use a block"
    return ""


def _stranger(at: OpenPlace, found: AtPath) -> str:
    """The users besides root who may have put the file there, in words; empty for none. Its owner can read what is
    written to it, and whoever may write to its folder can put a file of his own in its place."""
    if hand := renamer(at.parent, adding=True):
        return f"{hand}"
    if found.status is not None and not is_trusted(found.status.st_uid):
        return f"it belongs to {user_name(found.status.st_uid)}"
    return ""


def _text(found: AtPath) -> str:
    """The content as text. Bytes that are no UTF-8 pass through unharmed."""
    return (found.content or b"").decode(errors="surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
