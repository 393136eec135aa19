"""A file, whole: ``file:/etc/motd``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from agent.deploys.at_path import CONTENT_LIMIT, AtPath, Owner
from agent.deploys.files.path_kind import (
    Whole,
    attributes_of,
    giving,
    in_the_way,
    is_private,
    state_of,
)
from agent.deploys.items import FILE_MODE, Item
from agent.deploys.kind import ResourceState
from agent.deploys.place import OpenPlace
from agent.deploys.validating import approval
from agent.deploys.writing import put_file, set_attributes
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.plan import WantedChange
from agent.domain.tree import blob_id
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.safe_open import UnsafePath

_LETS_IN = re.compile(r"/etc/sudoers\.d/.+|/etc/ssh/authorized_keys.*|.*/\.ssh/authorized_keys2?")
"""Files by which somebody may log in, or become root (sudoers(5), sshd_config(5))."""


class File(Whole):
    """The kind ``file``."""

    default_mode = FILE_MODE
    in_place = stat.S_IFREG

    def content(self, item: Item, found: AtPath, root: Path) -> bytes:
        """The text of the item, or the content of its file of the commit. The blob id of the file is checked: the
        item's digest was taken over that content."""
        del found
        if item.absent or item.text is not None:
            return _encoded(item)
        assert item.source is not None
        try:
            content = read_bounded(root / item.source, CONTENT_LIMIT)
        except OSError as error:
            why = f"{item.source} of the commit cannot be read: {error}"
            raise DeployError(why, kind=ProblemKind.SOURCE_UNREADABLE) from error
        if blob_id(content) != item.blob:
            why = f"{item.source} in {root} is not what the commit holds"
            hint = "something changed the export just now; the next cycle exports it anew"
            raise DeployError(why, hint=hint, kind=ProblemKind.SOURCE_DAMAGED)
        return content

    def difference(self, item: Item, found: AtPath, owner: Owner) -> WantedChange | None:
        if found.type == stat.S_IFREG:
            changes = self.attribute_changes(item, found, owner)
            if not _is_content_as_wanted(item, found):
                changes.insert(0, "write content")
            elif not changes:
                return None
            operation = ", ".join(changes)
        elif found.type == 0:
            operation = f"create file, {self.described(item, owner)}"
        elif found.type == stat.S_IFLNK or found.empty:
            operation = f"put a file in place of {found.described}, {self.described(item, owner)}"
        else:
            return in_the_way(item, found)
        private = item.secret or not self.wanted_mode(item) & stat.S_IROTH or is_private(found)
        return WantedChange(item.key, operation, private=private)

    def make(self, at: OpenPlace, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        if content is None:
            why = f"{item.path}: somebody moves the folders on the way to it"  # the way was closed when it was planned
            raise UnsafePath(why, hint="the next cycle tries again")
        attributes = owner.attributes(item.path, self.wanted_mode(item), giving(item, found))
        if _is_content_as_wanted(item, found) and _is_ours_alone(found):
            set_attributes(at.parent, at.name, attributes, batch=at.batch)
            return ""
        approve = approval(at, item, attributes.mode)
        return put_file(at.parent, at.name, content, attributes, backup=item.backup, approve=approve, batch=at.batch)

    def has_access(self, entry: LedgerEntry) -> bool:
        """True for a file that the agent created and that lets somebody in."""
        lets_in = entry.origin is Origin.CREATED and _LETS_IN.fullmatch(entry.name) is not None
        return lets_in and self.look(entry.name) is not None

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:
        """Remove the file. Returns the reason if it had to stay."""
        return list(self.remove([entry], purge=False).values())

    def put_back(self, at: OpenPlace, before: ResourceState, image: bytes | None) -> None:
        attributes = attributes_of(before)
        if image is not None:
            put_file(at.parent, at.name, image, attributes, backup=False, batch=at.batch)
        elif state_of(at.look()).get("sha256", "") == before.get("sha256"):
            set_attributes(at.parent, at.name, attributes, batch=at.batch)
        else:
            raise DeployError(f"{at.path}: what was there was not kept: the file was too large")


def _is_content_as_wanted(item: Item, found: AtPath) -> bool:
    """True if the content is as wanted."""
    if found.content is None:
        return False
    return found.content == _encoded(item) if item.text is not None else blob_id(found.content) == item.blob


def _encoded(item: Item) -> bytes:
    """The text of ``item``. Surrogates stand for the bytes of a secret that is no text."""
    return (item.text or "").encode(errors="surrogateescape")


def _is_ours_alone(found: AtPath) -> bool:
    """True if owner and mode may be set in place: the file has no second name (a user could have linked another's file
    to get it), and this process has the right to."""
    assert found.status is not None
    return found.status.st_nlink == 1 and os.geteuid() in (0, found.status.st_uid)
