"""A tree of wanted items compared with what is there, in one look, and put right one by one.

``survey`` turns items into steps: what differs, described for a plan. ``carry_out`` does one of them, looking once
more, because time has passed since. No pyinfra in here.
"""

from __future__ import annotations

import grp
import os
import posixpath
import pwd
import stat
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from agent.deploys.at_path import CONTENT_LIMIT, AtPath, holds_only_links, look
from agent.deploys.difference import Difference, compare, edited, giving, holds
from agent.deploys.items import FILE_MODE, FOLDER_MODE, Item, ItemType, in_order, parents
from agent.deploys.validating import approval
from agent.deploys.writing import (
    Attributes,
    explained,
    put_file,
    put_folder,
    put_link,
    remove,
    remove_links,
    set_attributes,
)
from agent.domain.stand_in import stand_in
from agent.domain.tree import blob_id
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.obstacle import is_mount_point
from agent.system.safe_open import Base, UnsafePath, folder, renamer


@dataclass(frozen=True, slots=True)
class Step:
    """One item that is not as it should be. ``content`` is what a file should hold."""

    item: Item
    difference: Difference
    content: bytes | None = None

    @property
    def makes_folder(self) -> bool:
        return self.item.kind is ItemType.DIRECTORY and not self.difference.blocked


class HostAccounts:
    """The users and groups of this host, each asked for once."""

    def __init__(self) -> None:
        self._users: dict[str, pwd.struct_passwd | None] = {}
        self._groups: dict[str, int | None] = {}
        self._names: dict[tuple[int, int], str] = {}

    def uid(self, owner: str) -> int | None:
        user = self._user(owner)
        if user is not None:
            return user.pw_uid
        return int(owner) if owner.isdecimal() else None

    def gid(self, owner: str, group: str | None) -> int | None:
        """Without a group the owner's own, or the one of the same number for an owner that is only a number."""
        if group is None:
            user = self._user(owner)
            return user.pw_gid if user is not None else self.uid(owner)
        if group not in self._groups:
            try:
                self._groups[group] = grp.getgrnam(group).gr_gid
            except KeyError:
                self._groups[group] = int(group) if group.isdecimal() else None
        return self._groups[group]

    def named(self, uid: int, gid: int) -> str:
        if (uid, gid) not in self._names:
            try:
                user = pwd.getpwuid(uid).pw_name
            except KeyError:
                user = f"{uid}"
            try:
                group = grp.getgrgid(gid).gr_name
            except KeyError:
                group = f"{gid}"
            self._names[uid, gid] = f"{user}:{group}"
        return self._names[uid, gid]

    def attributes(self, item: Item, mode: int) -> Attributes:
        """Raises DeployError for a user or a group that does not exist."""
        uid, gid = self.uid(item.owner), self.gid(item.owner, item.group)
        if uid is None or gid is None:
            missing = f"user {item.owner}" if uid is None else f"group {item.group}"
            why = f"{missing} does not exist, who should own {item.path}"
            hint = "name an earlier deploy that creates it in `needs`, or correct the name"
            raise DeployError(why, hint=hint, kind=ProblemKind.NO_SUCH_OWNER)
        return Attributes(mode, uid, gid)

    def _user(self, owner: str) -> pwd.struct_passwd | None:
        if owner not in self._users:
            try:
                self._users[owner] = pwd.getpwnam(owner)
            except KeyError:
                self._users[owner] = None
        return self._users[owner]


def survey(base: Base, items: Iterable[Item], root: Path, repositories: Path | None = None) -> list[Step]:
    """What differs, parents first; what cannot be put right comes last, so that the rest is done before it fails.

    ``root`` is the folder of the commit's files, ``repositories`` the one of other repositories' trees. Raises
    DeployError when one of those files is missing or damaged, and OSError or UnsafePath when ``base`` itself cannot be
    opened. Changes nothing.
    """
    look_at = _Survey(base, root, repositories)
    steps: list[Step] = []
    made: set[str] = set()
    """Folders that take the place of something else: what is to be in them is not there yet."""
    with base.opened() as start:
        for path, group in groupby(in_order(items), key=lambda item: posixpath.dirname(item.path)):
            with ExitStack() as stack:
                parent: int | DeployError | OSError | None
                try:
                    parent = stack.enter_context(folder(start, path, root_links=base.root_links))
                except FileNotFoundError:
                    parent = None
                except (UnsafePath, OSError) as error:
                    parent = error if made.isdisjoint((path, *parents(path))) else None
                found = [step for item in group if (step := look_at.step(start, parent, item))]
            steps += found
            made |= {step.item.path for step in found if step.makes_folder}
    return _hopeless_last(steps, look_at.accounts)


def _hopeless_last(steps: list[Step], accounts: HostAccounts) -> list[Step]:
    """Hopeless is what is blocked, has an owner who does not exist, or lies in a folder that is hopeless."""
    hopeless: set[str] = set()
    for step in steps:
        item = step.item
        known = accounts.uid(item.owner) is not None and accounts.gid(item.owner, item.group) is not None
        if step.difference.blocked or not known or any(parent in hopeless for parent in parents(item.path)):
            hopeless.add(item.path)
    return sorted(steps, key=lambda step: step.item.path in hopeless)


class _Survey:
    """What is remembered from one item to the next."""

    def __init__(self, base: Base, root: Path, repositories: Path | None) -> None:
        self._base = base
        self._root = root
        self._repositories = repositories
        self.accounts = HostAccounts()
        self._edited: dict[str, bytes] = {}
        """Of a file with several edits, its content after those that were looked at."""
        self._planned: dict[str, Item] = {}
        """Folders that are made or changed, by path."""

    def step(self, start: int, parent: int | DeployError | OSError | None, item: Item) -> Step | None:
        if isinstance(parent, Exception):
            gone = item.kind is ItemType.ABSENT and isinstance(parent, NotADirectoryError)
            return None if gone else _blocked(item, parent)
        item = _as_its_folder(item, parent, self._planned.get(posixpath.dirname(item.path)))
        try:
            found = _find(self._base, start, parent, item)
        except OSError as error:
            return _blocked(item, error)
        if item.path in self._edited:
            found = replace(found, content=self._edited[item.path])
        content = partial(_wanted, item, self._origin(item))
        difference = _mounted(parent, item, found, compare(item, found, content, self.accounts))
        if difference is None:
            return None
        if item.kind is ItemType.DIRECTORY and not difference.blocked:
            self._planned[item.path] = item
        if item.kind is ItemType.EDIT and not difference.blocked:
            self._edited[item.path] = edited(item, found.content)
        held = content() if item.kind is ItemType.FILE else None
        if instead := _instead(item, held):
            difference = Difference(instead, blocked=True)
        return Step(item, difference, held)

    def _origin(self, item: Item) -> Path:
        if item.repository is None:
            return self._root
        assert self._repositories is not None
        return self._repositories / item.repository


def carry_out(base: Base, start: int, item: Item, content: bytes | None) -> str:
    """Puts one item right, whole or not at all. Returns what it has to tell, mostly nothing. Raises DeployError when it
    cannot; then what was there stands.

    ``start`` is a descriptor of ``base``: whoever opened it may have had more rights than who writes below it.
    """
    accounts = HostAccounts()
    above, name = posixpath.split(item.path)
    try:
        with folder(start, above, root_links=base.root_links) as parent, explained(parent, name, item.path):
            item = _as_its_folder(item, parent)
            found = _find(base, start, parent, item)
            difference = _mounted(parent, item, found, compare(item, found, lambda: content or b"", accounts))
            if difference is None:
                return ""
            if difference.blocked:
                raise UnsafePath(f"{item.path}: {difference.operation}")
            return _put(parent, item, found, content, accounts, base=base)
    except OSError as error:
        raise DeployError(f"{item.path}: {error.strerror or error}", kind=ProblemKind.NOT_WRITTEN) from error
    except DeployError as error:
        error.hint = error.hint or _foreign(start, item.path, accounts)
        raise


def _mounted(parent: int | None, item: Item, found: AtPath, difference: Difference | None) -> Difference | None:
    """``difference``, where it is to be put right at a mount point: nothing can take its place there."""
    if parent is None or difference is None or difference.blocked or found.status is None:
        return difference
    if not is_mount_point(parent, posixpath.basename(item.path)):
        return difference
    if found.type == stat.S_IFREG and item.kind in (ItemType.FILE, ItemType.EDIT):
        return replace(difference, operation=f"{difference.operation}, in place because something is mounted there")
    if found.type == stat.S_IFDIR and item.kind is ItemType.DIRECTORY:
        return difference
    return Difference("something is mounted there; unmount it, or leave it out", blocked=True)


def _foreign(start: int, path: str, accounts: HostAccounts) -> str:
    """What to do where somebody who is not root works below what is not theirs."""
    for part in (*reversed(parents(path)), path) if os.geteuid() else ():
        with suppress(OSError):
            status = os.stat(part, dir_fd=start, follow_symlinks=False)
            if status.st_uid != os.geteuid():
                me, owner = accounts.named(os.geteuid(), os.getegid()), accounts.named(status.st_uid, status.st_gid)
                return f"{part} belongs to {owner}: give it to {me}, or move it away"
    return ""


def _put(parent: int, item: Item, found: AtPath, content: bytes | None, accounts: HostAccounts, *, base: Base) -> str:
    name = posixpath.basename(item.path)

    match item.kind:
        case ItemType.FILE:
            assert item.mode is not None
            if content is None:  # its way was closed when it was planned
                raise UnsafePath(
                    f"{item.path}: somebody moves the folders on the way to it", hint="the next cycle tries again"
                )
            if instead := _instead(item, content):
                raise UnsafePath(f"{item.path}: {instead}")
            attributes = replace(accounts.attributes(item, item.mode), giving=giving(item, found))
            if not (holds(item, found.content) and _is_ours_alone(found)):
                return put_file(
                    parent, name, content, attributes, backup=item.backup, approve=approval(base, item, attributes.mode)
                )
            set_attributes(parent, name, attributes)
        case ItemType.DIRECTORY:
            attributes = accounts.attributes(item, FOLDER_MODE if item.mode is None else item.mode)
            if found.type != stat.S_IFDIR:
                return put_folder(parent, name, attributes, backup=item.backup)
            set_attributes(parent, name, replace(attributes, giving=giving(item, found)))
        case ItemType.LINK:
            assert item.target is not None
            if item.links_into is not None and found.type == stat.S_IFDIR:
                remove_links(parent, name, item.links_into)
            return put_link(parent, name, item.target, backup=item.backup)
        case ItemType.EDIT:
            if found.status is not None:
                attributes = Attributes(found.mode, found.status.st_uid, found.status.st_gid, found.giving)
            else:
                attributes = accounts.attributes(item, FILE_MODE)
            text = edited(item, found.content)
            return put_file(
                parent, name, text, attributes, backup=item.backup, approve=approval(base, item, attributes.mode)
            )
        case ItemType.ABSENT:
            remove(parent, name, backup=item.backup)
    return ""


def _is_ours_alone(found: AtPath) -> bool:
    """Whether a file's owner and mode may be set in place: it has no second name (in a folder of somebody who would
    like to own what it is a name of), and this process may."""
    assert found.status is not None
    return found.status.st_nlink == 1 and os.geteuid() in (0, found.status.st_uid)


def _as_its_folder(item: Item, parent: int | None, planned: Item | None = None) -> Item:
    """A mere parent that is made in a user's folder is that user's, as what lies below it could not be reached
    otherwise. ``planned``: the folder that it is to lie in, as it is going to be."""
    if item.kind is not ItemType.DIRECTORY or item.mode is not None:
        return item
    if planned is not None:
        return replace(item, owner=planned.owner, group=planned.group) if planned.owner != "root" else item
    hand = renamer(parent) if parent is not None else None
    if parent is None or hand is None or hand.uid is None:
        return item
    return replace(item, owner=f"{hand.uid}", group=f"{os.fstat(parent).st_gid}")


def _find(base: Base, start: int, parent: int | None, item: Item) -> AtPath:
    if parent is None:
        return AtPath()
    found = look(parent, posixpath.basename(item.path))
    if found.type == stat.S_IFLNK and item.kind is ItemType.DIRECTORY and item.mode is None:
        # A mere parent may be a link that is allowed to be followed, such as /var/run.
        with suppress(UnsafePath, OSError), folder(start, item.path, root_links=base.root_links) as descriptor:
            return AtPath(os.fstat(descriptor))
    if found.type == stat.S_IFDIR and item.kind is ItemType.LINK and item.links_into is not None:
        return replace(found, empty=holds_only_links(parent, posixpath.basename(item.path), item.links_into))
    return found


def _wanted(item: Item, root: Path) -> bytes:
    """What the file should hold. The blob id is checked, so that what is written is what the digest was taken of."""
    if item.text is not None:
        return item.text.encode()
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


def _instead(item: Item, content: bytes | None) -> str:
    """What stands in the commit instead of the content of a file, and what to do; empty for the content itself."""
    found = stand_in(content) if item.source is not None and content is not None else None
    return f"{item.source} {found.what}; {found.remedy}" if found else ""


def _blocked(item: Item, error: DeployError | OSError) -> Step:
    if isinstance(error, DeployError):
        reason = f"{error.message} ({error.hint})" if error.hint else error.message
    else:
        reason = f"cannot be looked at: {error.strerror or error}"
    return Step(item, Difference(reason, blocked=True))
