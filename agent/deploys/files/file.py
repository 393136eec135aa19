"""A file, whole: ``file:/etc/motd``; and a program asked if it would take a new file before that replaces the old."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agent.deploys.at_path import CONTENT_LIMIT, AtPath, Attributes, Owner
from agent.deploys.files.path_kind import (
    Whole,
    attributes_of,
    giving,
    in_the_way,
    is_private,
    state_of,
)
from agent.deploys.items import FILE_MODE, VALIDATED, Item
from agent.deploys.kind import ResourceState
from agent.deploys.place import OpenPlace
from agent.deploys.telling import reason
from agent.deploys.writing import put_file, set_attributes
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.plan import WantedChange
from agent.domain.tree import blob_id
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.attributes import ACCESS
from agent.system.files import read_bounded
from agent.system.process import run
from agent.system.safe_open import UnsafePath

_LETS_IN = re.compile(r"/etc/sudoers\.d/.+|/etc/ssh/authorized_keys.*|.*/\.ssh/authorized_keys2?")
"""Files by which somebody may log in, or become root (sudoers(5), sshd_config(5))."""

_TIMEOUT_S = 30.0
"""For the program that judges a new file (``Item.validate``)."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


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
        if _is_content_as_wanted(item, found) and _may_stay(found, attributes):
            set_attributes(at.parent, at.name, attributes, seen=found, batch=at.batch)
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
        elif state_of(found := at.look()).get("sha256", "") == before.get("sha256"):
            set_attributes(at.parent, at.name, attributes, seen=found, batch=at.batch)
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


def _may_stay(found: AtPath, attributes: Attributes) -> bool:
    """True if owner and mode may be set in place: the file has no second name (a user could have linked another's file
    to get it), this process has the right to, and nobody who may no longer write to it can have it open for writing."""
    assert found.status is not None
    uid = found.status.st_uid
    mine = os.geteuid() in (0, uid)
    shut_out = uid not in (0, attributes.uid) or found.mode & ~attributes.mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.mode & stat.S_IWGRP:  # with an ACL, its mask
        same_acl = found.giving.get(ACCESS) == attributes.giving.get(ACCESS)
        shut_out = shut_out or found.status.st_gid not in (0, attributes.gid) or not same_acl
    return found.status.st_nlink == 1 and mine and not shut_out


def approval(at: OpenPlace, item: Item, mode: int) -> Callable[[str], None] | None:
    """The function that asks the program of ``item`` about a new file, by its temporary name in the same folder, and
    raises DeployError if the program refuses it. ``mode``: the mode that the file is to have. None if the item names no
    program."""
    if not item.validate:
        return None
    target = posixpath.join(at.base.path, at.path.lstrip("/"))
    return partial(_require_valid, item.validate, target, not mode & stat.S_IROTH)


def _require_valid(argv: Sequence[str], target: str, private: bool, temporary: str) -> None:
    """Raise DeployError if the program ``argv`` does not take the file ``temporary``, which is to become the ``target``
    beside it. The program runs without a shell, for _TIMEOUT_S at most. Its output about a ``private`` file is not
    repeated: it may quote the file."""
    new = posixpath.join(posixpath.dirname(target), temporary)
    asked = [word.replace(VALIDATED, new) for word in argv]
    by_hand = " ".join(word.replace(VALIDATED, target) for word in argv)
    try:
        done = run(asked, timeout_s=_TIMEOUT_S, env=_ENVIRONMENT)
    except OSError as error:
        raise DeployError(
            f"{target}: {argv[0]}, which `validate` names, cannot be run: {error.strerror or error}",
            hint="install it in a deploy before this one, or leave `validate` out",
            kind=ProblemKind.NO_VALIDATOR,
        ) from error
    if done.ok:
        return
    if done.timed_out:
        why = f"not done after {_TIMEOUT_S:.0f} s"
    elif private:
        why = f"exit status {done.code}; what it says is not repeated, for others may not read the file"
    else:
        why = reason(done).replace(new, target)
    raise DeployError(
        f"{target}: {argv[0]} refuses the new content: {why}",
        hint=f"what was there stands; once it is corrected, `{by_hand}` says nothing against it",
        kind=ProblemKind.NOT_VALID,
    )
