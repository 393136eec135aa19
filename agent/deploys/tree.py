"""A tree of wanted items compared with what is there, in one look, and put right one by one.

The tree walks the paths in order, with each folder opened once; their kinds compare and write. No pyinfra in here.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import cast

from agent.deploys.at_path import AtPath
from agent.deploys.correction import Correction
from agent.deploys.files.path_kind import ContentReader, PathKind, refused, removal
from agent.deploys.items import Item, Policy, in_order, parents
from agent.deploys.kind_table import kind_named
from agent.deploys.owners import Owner, Owners, owner_of
from agent.deploys.place import SYSTEM, Base, OpenPlace, Place, Work, Works, work_together
from agent.deploys.writing import remove
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.system.obstacle import is_mount_point
from agent.system.safe_open import UnsafePath, renamer


@dataclass(frozen=True, slots=True)
class Deviation:
    """One item that is not as it should be, and the change that it takes. ``content`` is what a file should hold."""

    item: Item
    change: WantedChange
    content: bytes | None = None


def corrections(
    items: Iterable[Item], root: Path, base: Base = SYSTEM, repositories: Path | None = None
) -> list[Correction]:
    """Corrections in the order in which they can be made; see ``survey``. Raises DeployError for a file of the
    commit that cannot be read, and for a home that is missing or another's."""
    with base.entered():
        found = survey(base, items, root, repositories)
    owners = cache(owner_of)
    works = Works([_work(base, each.item, each.content, owners) for each in found], lambda number: made[number].allowed)
    made = [
        Correction(each.change, works.do, number, is_done=partial(works.is_done, number))
        for number, each in enumerate(found)
    ]
    return made


def put(item: Item, content: bytes | None) -> str:
    """Puts one item of the system right; returns what there is to tell. Raises DeployError when it cannot; then what
    was there stands."""
    with SYSTEM.entered() as start:
        return carry_out(SYSTEM, start, item, content)


def survey(base: Base, items: Iterable[Item], root: Path, repositories: Path | None = None) -> list[Deviation]:
    """Deviations, parents first. Those that cannot be put right come last, so that the rest is done before one fails.

    ``root`` is the folder of the commit's files, ``repositories`` the one of other repositories' trees. Raises
    DeployError when one of those files is missing or damaged, and OSError or UnsafePath when ``base`` itself cannot be
    opened. Changes nothing.
    """
    looking = _Survey(base, root, repositories)
    ordered = in_order(items)
    folders: dict[tuple[bool, str], list[int]] = {}
    """The numbers of what lies in one folder; of what is to go apart, as it comes last. A folder is opened once."""
    for number, item in enumerate(ordered):
        folders.setdefault((item.absent, item.path.rpartition("/")[0]), []).append(number)
    found: dict[int, Deviation] = {}
    made: set[str] = set()
    """Folders that take the place of something else: what is to be in them is not there yet."""
    with base.opened() as start:
        for (_, path), numbers in folders.items():
            with ExitStack() as stack:
                parent: int | DeployError | OSError | None
                try:
                    parent = stack.enter_context(base.folder(start, path))
                except FileNotFoundError:
                    parent = None
                except (UnsafePath, OSError) as error:
                    parent = error if made.isdisjoint((path, *parents(path))) else None
                for number in numbers:
                    if each := looking.deviation(start, parent, ordered[number]):
                        found[number] = each
                        if each.item.kind == "directory" and not (each.item.absent or each.change.refused):
                            made.add(each.item.path)
    return _hopeless_last([found[number] for number in sorted(found)], looking.owners)


def carry_out(base: Base, start: int, item: Item, content: bytes | None) -> str:
    """Puts one item right, whole or not at all, with the base open at ``start``. Looks once more, because time has
    passed since the survey. Returns what it has to tell. Raises DeployError when it cannot; then what was there
    stands."""
    (outcome,) = work_together([_work(base, item, content, owner_of)], start)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _work(base: Base, item: Item, content: bytes | None, owners: Owners) -> Work:
    return Work(Place(base, item.path), partial(_make, item, content, owners), asks=bool(item.validate))


def _make(item: Item, content: bytes | None, owners: Owners, at: OpenPlace) -> str:
    kind = _kind_of(item.kind)
    item = _as_its_folder(item, at.parent) if item.is_parent else item
    owner = owners(item.owner, item.group)
    found = kind.find(at, item)
    change = _mounted(_change(kind, item, found, owner, lambda: content or b""), kind, item, found, at)
    if change is None:
        return ""
    if change.refused:
        raise UnsafePath(f"{item.path}: {change.operation}")
    if not item.absent:
        return kind.make(at, item, found, owner, content)
    remove(at.parent, at.name, backup=item.backup, batch=at.batch)
    return ""


class _Survey:
    """One walk over the items, and what it remembers from one to the next."""

    def __init__(self, base: Base, root: Path, repositories: Path | None) -> None:
        self.owners: Owners = cache(owner_of)
        self._base = base
        self._root = root
        self._repositories = repositories
        self._contents: dict[str, bytes] = {}
        """By path, the content of a file after the changes of parts found so far."""
        self._folders: dict[str, Item] = {}
        """By path, folders that will be made or changed."""

    def deviation(self, start: int, parent: int | DeployError | OSError | None, item: Item) -> Deviation | None:
        """The deviation of one item, None where it is as wanted. ``parent`` is a descriptor of its folder, the error
        that kept it from being opened, or None where there is no such folder."""
        if isinstance(parent, Exception):
            gone = item.absent and isinstance(parent, NotADirectoryError)
            return None if gone else _blocked(item, parent)
        kind = _kind_of(item.kind)
        if item.is_parent:
            item = _as_its_folder(item, parent, self._folders.get(posixpath.dirname(item.path)))
        at = OpenPlace(self._base, start, parent, item.path) if parent is not None else None
        try:
            found = kind.find(at, item) if at is not None else AtPath()
        except OSError as error:
            return _blocked(item, error)
        if item.path in self._contents:
            found = replace(found, content=self._contents[item.path])
        content = _once(partial(kind.content, item, self._origin(item)))
        change = _change(kind, item, found, self.owners(item.owner, item.group), content)
        change = _mounted(change, kind, item, found, at) if at is not None else change
        if change is None:
            return None
        if not change.refused and item.kind == "directory":
            self._folders[item.path] = item
        if not change.refused and (after := kind.content_after(item, found)) is not None:
            self._contents[item.path] = after
        return Deviation(item, change, content())

    def _origin(self, item: Item) -> Path:
        if item.repository is None:
            return self._root
        assert self._repositories is not None
        return self._repositories / item.repository


def _once(read: ContentReader) -> ContentReader:
    """``read``, which is called once at most."""
    known: list[bytes] = []

    def content() -> bytes:
        if not known:
            known.append(read())
        return known[0]

    return content


@cache
def _kind_of(name: str) -> PathKind:
    return cast("PathKind", kind_named(name))


def _change(kind: PathKind, item: Item, found: AtPath, owner: Owner, content: ContentReader) -> WantedChange | None:
    """The change that the item's policy allows."""
    change = removal(item, found) if item.absent else kind.difference(item, found, owner, content)
    if change is None or found.status is None or item.policy is Policy.OVERWRITE:
        return change
    if item.policy is Policy.KEEP:
        return None
    return replace(change, operation=f"differs, and its policy is fail: {change.operation}", refused=True)


def _mounted(
    change: WantedChange | None, kind: PathKind, item: Item, found: AtPath, at: OpenPlace
) -> WantedChange | None:
    """``change``, adapted where something is mounted on the path: nothing can be renamed over a mount point."""
    if change is None or change.refused or found.status is None or not is_mount_point(at.parent, at.name):
        return change
    if item.absent or found.type != kind.in_place:
        return refused(item, "something is mounted there; unmount it, or leave it out")
    if found.type == stat.S_IFDIR:
        return change
    return replace(change, operation=f"{change.operation}, in place because something is mounted there")


def _as_its_folder(item: Item, parent: int | None, planned: Item | None = None) -> Item:
    """``item``, a mere parent. One that is made in a user's folder is that user's, as what lies below it could not be
    reached otherwise. ``planned``: the folder that it is to lie in, as it is going to be."""
    if planned is not None:
        return replace(item, owner=planned.owner, group=planned.group) if planned.owner != "root" else item
    hand = renamer(parent) if parent is not None else None
    if parent is None or hand is None or hand.uid is None:
        return item
    return replace(item, owner=f"{hand.uid}", group=f"{os.fstat(parent).st_gid}")


def _hopeless_last(found: list[Deviation], owners: Owners) -> list[Deviation]:
    """Sorts hopeless deviations last: those that are refused, whose owner does not exist, or whose folder is
    hopeless."""
    hopeless: set[str] = set()
    for each in found:
        owned = owners(each.item.owner, each.item.group).exists
        if each.change.refused or not owned or (hopeless and not hopeless.isdisjoint(parents(each.item.path))):
            hopeless.add(each.item.path)
    return sorted(found, key=lambda each: each.item.path in hopeless)


def _blocked(item: Item, error: DeployError | OSError) -> Deviation:
    reason = error.told if isinstance(error, DeployError) else f"cannot be looked at: {error.strerror or error}"
    return Deviation(item, refused(item, reason))
