"""A tree of wanted items, compared with the host in one look and put right one by one.

The tree walks the paths in order, with each folder opened once; their kinds compare and write. It is the host's side of
the deploys that want items and nothing else, such as ``files``. No pyinfra in here.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys.at_path import AtPath, Owner, Owners, owner_of
from agent.deploys.correction import Correction, refusal
from agent.deploys.files.path_kind import PathKind, refused, removal, with_diff
from agent.deploys.items import Item, Policy, in_order, items_from_json, parents
from agent.deploys.kind import kind_named
from agent.deploys.place import SYSTEM, Base, OpenPlace, Place, Work, Works, open_each, work_together
from agent.deploys.writing import remove
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.domain.stand_in import stand_in
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.system.obstacle import is_mount_point
from agent.system.safe_open import UnsafePath, renamer


@dataclass(frozen=True, slots=True)
class Deviation:
    """One item that is not as it should be, and the change that it takes. ``content`` is what a file should hold."""

    item: Item
    change: WantedChange
    content: bytes | None = None


def corrections(arguments: Mapping[str, JSON], root: Path) -> list[Correction]:
    """The corrections of a deploy's items; see ``item_corrections``."""
    return item_corrections(items_from_json(arguments["items"]), root, Paths().repositories)


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return about.of_items(items_from_json(arguments["items"]))


def narrow(arguments: Mapping[str, JSON], changed: Iterable[bytes], wanted: Iterable[str]) -> Mapping[str, JSON] | None:
    """The arguments with only those items that the ``changed`` questions are about, and those with a key of ``wanted``.
    None if the change may concern any item."""
    items = about.items_behind(arguments["items"], changed, wanted)
    return {**arguments, "items": items} if items is not None else None


def item_corrections(
    items: Iterable[Item], root: Path, repositories: Path | None = None, base_of: Callable[[str], Base] = Base.of
) -> list[Correction]:
    """Corrections in the order in which they can be made, home by home; see ``survey``. ``base_of``: by user, the home.

    A home that is missing (with its user, or yet to be made), or that needs a file of the commit that cannot be read,
    becomes a refusal; the others are put right all the same. Raises DeployError if that is so of all homes.
    """
    homes: dict[str, list[Item]] = {}
    for item in items:
        homes.setdefault(item.home, []).append(item)
    found: list[tuple[Base, Deviation]] = []
    missing: dict[str, DeployError] = {}
    for home, wanted in homes.items():
        try:
            base = base_of(home)
            with base.entered():
                found += [(base, each) for each in survey(base, wanted, root, repositories)]
        except DeployError as error:
            missing[home] = error
    if missing and len(missing) == len(homes):
        raise next(iter(missing.values()))
    owners = cache(owner_of)
    works = Works(
        [_work(base, each.item, each.content, owners) for base, each in found], lambda number: made[number].allowed
    )
    made = [
        Correction(each.change, works.do, number, is_done=partial(works.is_done, number))
        for number, (_, each) in enumerate(found)
    ]
    # Not by a resource's key: of what nobody can look at, the ledger would say that it was there before.
    return [*made, *(refusal(f"op:dotfiles-{home}#1", error) for home, error in missing.items())]


def put_item(item: Item, content: bytes | None) -> str:
    """Put one item of the system right. Returns a text about it, mostly empty. Raises DeployError if that cannot be
    done; then what was there stays."""
    with SYSTEM.entered() as start:
        return carry_out(SYSTEM, start, item, content)


def survey(base: Base, items: Iterable[Item], root: Path, repositories: Path | None = None) -> list[Deviation]:
    """The deviations, parents first. Those that cannot be put right come last, so that the rest is done before one
    fails.

    ``root`` is the folder of the commit's files, ``repositories`` the one of other repositories' trees. Raises
    DeployError if one of those files is missing or damaged, and OSError or UnsafePath if ``base`` itself cannot be
    opened. Changes nothing.
    """
    looking = _Survey(root, repositories)
    folders: dict[tuple[bool, str], list[tuple[int, Item]]] = {}
    """Numbered items by folder, so that each folder is opened once. Items to be removed are apart, as they come
    last."""
    for number, item in enumerate(in_order(items)):
        folders.setdefault((item.absent, item.path.rpartition("/")[0]), []).append((number, item))
    numbered = [each for folder in folders.values() for each in folder]
    found: dict[int, Deviation] = {}
    with base.opened() as start:
        opened = open_each(base, start, (item.path for _, item in numbered))
        for (number, item), at in zip(numbered, opened, strict=True):
            if each := looking.deviation(at, item):
                found[number] = each
    return _hopeless_last([each for _, each in sorted(found.items())], looking.owners)


def carry_out(base: Base, start: int, item: Item, content: bytes | None) -> str:
    """Put one item right, whole or not at all, with the base open at ``start``. Looks once more, because time has
    passed since the survey. Returns a text about it, mostly empty. Raises DeployError if that cannot be done; then what
    was there stays."""
    (outcome,) = work_together([_work(base, item, content, owner_of)], start)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _work(base: Base, item: Item, content: bytes | None, owners: Owners) -> Work:
    return Work(Place(base, item.path), partial(_make, item, content, owners), asks=bool(item.validate))


def _make(item: Item, content: bytes | None, owners: Owners, at: OpenPlace) -> str:
    kind = _kind_of(item.kind)
    item = _as_its_folder(item, at) if item.is_parent else item
    owner = owners(item.owner, item.group)
    found = kind.find(at, item)
    change = _change(kind, item, found, owner, at)
    change = change and _refused_stand_in(change, item, content)
    if change is None:
        return ""
    if change.refused:
        raise UnsafePath(f"{item.path}: {change.operation}")
    if not item.absent:
        return kind.make(at, item, found, owner, content)
    remove(at.parent, at.name, backup=item.backup, batch=at.batch)
    return ""


class _Survey:
    """One walk over the items, with what it found so far."""

    def __init__(self, root: Path, repositories: Path | None) -> None:
        self.owners: Owners = cache(owner_of)
        self._root = root
        self._repositories = repositories
        self._contents: dict[str, bytes] = {}
        """By path, the content of a file after the changes of parts found so far."""
        self._folders: dict[str, Item] = {}
        """By path, folders that will be made or changed."""

    def deviation(self, opened: OpenPlace | DeployError | OSError, item: Item) -> Deviation | None:
        """The deviation of one item, None where it is as wanted. ``opened``: its place, or the error that kept the
        folder from being opened."""
        at = opened if isinstance(opened, OpenPlace) else None
        if isinstance(opened, Exception) and not self._is_missing(opened, item):
            gone = item.absent and isinstance(opened, NotADirectoryError)
            return None if gone else _blocked(item, opened)
        kind = _kind_of(item.kind)
        if item.is_parent:
            item = _as_its_folder(item, at, self._folders.get(posixpath.dirname(item.path)))
        try:
            found = kind.find(at, item) if at is not None else AtPath()
        except OSError as error:
            return _blocked(item, error)
        if item.path in self._contents:
            found = replace(found, content=self._contents[item.path])
        change = _change(kind, item, found, self.owners(item.owner, item.group), at)
        if change is None:
            return None
        content = kind.content(item, found, self._origin(item))
        change = with_diff(_refused_stand_in(change, item, content), item, found, content)
        if not change.refused and item.is_directory:
            self._folders[item.path] = item
        if not change.refused and content is not None:
            self._contents[item.path] = content
        return Deviation(item, change, content)

    def _is_missing(self, error: Exception, item: Item) -> bool:
        """True if there is no folder yet, or something that a folder is going to replace."""
        return isinstance(error, FileNotFoundError) or not self._folders.keys().isdisjoint(parents(item.path))

    def _origin(self, item: Item) -> Path:
        if item.repository is None:
            return self._root
        assert self._repositories is not None
        return self._repositories / item.repository


@cache
def _kind_of(name: str) -> PathKind:
    return cast("PathKind", kind_named(name))


def _change(kind: PathKind, item: Item, found: AtPath, owner: Owner, at: OpenPlace | None) -> WantedChange | None:
    """The change that the item takes, as far as its policy and mounts allow: nothing can be renamed over a mount point.
    None if nothing is to be changed. ``at`` is None if the folder is not there."""
    change = removal(item, found) if item.absent else kind.difference(item, found, owner)
    if change is None or found.status is None:
        return change
    if item.policy is Policy.KEEP:
        return None
    if item.policy is Policy.FAIL:
        return replace(change, operation=f"differs, and its policy is fail: {change.operation}", refused=True)
    if change.refused or at is None or not is_mount_point(at.parent, at.name):
        return change
    return _mounted(change, kind, item, found)


def _mounted(change: WantedChange, kind: PathKind, item: Item, found: AtPath) -> WantedChange:
    if item.absent or found.type != kind.in_place:
        return refused(item, "something is mounted there; unmount it, or leave it out")
    if found.type == stat.S_IFDIR:
        return change
    return replace(change, operation=f"{change.operation}, in place because something is mounted there")


def _refused_stand_in(change: WantedChange, item: Item, content: bytes | None) -> WantedChange:
    """``change``; refused if the commit has something else in place of the content that is meant."""
    if change.refused or item.source is None or not (instead := stand_in(content or b"")):
        return change
    return refused(item, f"{item.source} {instead.what}; {instead.remedy}")


def _as_its_folder(item: Item, at: OpenPlace | None, planned: Item | None = None) -> Item:
    """The parent ``item`` with the owner that it gets. In a user's folder it belongs to that user, who could not reach
    what lies below it otherwise. ``planned``: the folder that it is to lie in, as that is going to be."""
    if planned is not None:
        return replace(item, owner=planned.owner, group=planned.group) if planned.owner != "root" else item
    hand = renamer(at.parent) if at is not None else None
    if at is None or hand is None or hand.uid is None:
        return item
    return replace(item, owner=f"{hand.uid}", group=f"{os.fstat(at.parent).st_gid}")


def _hopeless_last(found: list[Deviation], owners: Owners) -> list[Deviation]:
    """The deviations that were ``found``, hopeless ones last: those that are refused, whose owner does not exist, or
    whose folder is hopeless."""
    hopeless: set[str] = set()
    for each in found:
        owned = owners(each.item.owner, each.item.group).exists
        if each.change.refused or not owned or (hopeless and not hopeless.isdisjoint(parents(each.item.path))):
            hopeless.add(each.item.path)
    return sorted(found, key=lambda each: each.item.path in hopeless)


def _blocked(item: Item, error: DeployError | OSError) -> Deviation:
    reason = error.full_text if isinstance(error, DeployError) else f"cannot be looked at: {error.strerror or error}"
    return Deviation(item, refused(item, reason))
