"""The base of the kinds of things at a path, ``/etc/motd`` or ``~ann/.bashrc``.

Beside the methods of a ``Kind``, they have methods that compare an item with the thing at its path, and make that as
wanted. File, Directory and Link are each a ``Whole`` thing at a path; Block and Line are each a ``Part`` of a file.
"""

from __future__ import annotations

import hashlib
import pwd
import stat
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

from agent.deploys.at_path import AtPath, Attributes, Owner, owner_names
from agent.deploys.correction import unified
from agent.deploys.items import Item, Policy
from agent.deploys.kind import Kind, Looked, ResourceState, kind_named, reason_of, state_before
from agent.deploys.place import OpenPlace, Place, Work, Works, look_each, place_of
from agent.deploys.writing import forget_backup, remove
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.system.attributes import ACCESS, CAPABILITY, DEFAULT, acl_words, capability_words, packed_capabilities

_TYPES = {0: "nothing", stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}

_GIVING = {"acl": ACCESS, "default_acl": DEFAULT, "capabilities": CAPABILITY}

_WORDS = {
    "sha256": "content",
    "mtime_ns": "content",
    "uid": "owner",
    "gid": "group",
    "acl": "ACL",
    "default_acl": "ACL",
}


class PathKind(Kind):
    """One kind of thing at a path."""

    inert = True

    in_place: ClassVar[int] = 0
    """The type (``stat.S_IFMT``) that can be put right where something is mounted on it; 0 for none."""

    def content(self, item: Item, found: AtPath, root: Path) -> bytes | None:  # noqa: ARG002 - only files have one
        """The content that the file is to have in place of ``found``; None for a thing that is no file. ``root`` is the
        folder of the commit's files. Raises DeployError."""
        return None

    def find(self, at: OpenPlace, item: Item) -> AtPath:  # noqa: ARG002 - most kinds look at nothing else
        """The thing at the item's path now. Raises OSError."""
        return at.look()

    @abstractmethod
    def difference(self, item: Item, found: AtPath, owner: Owner) -> WantedChange | None:
        """The change that makes ``found`` as the ``item``, which is not absent, wants it; None if it is so. It has no
        diff yet."""

    @abstractmethod
    def make(self, at: OpenPlace, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        """Make the change, as a whole or not at all. Returns a text about it, mostly empty. Raises DeployError,
        OSError."""


class Whole(PathKind):
    """A thing at a path that is the agent's as a whole.

    State: ``type``, ``uid``, ``gid``, and ``mode`` of all but links; of a file its ``sha256`` (of one that is too large
    to be read ``size`` and ``mtime_ns``), of a link its ``target``; ``acl``, ``default_acl`` and ``capabilities``, in
    hex, where there are any. The image is a file's content.
    """

    default_mode: ClassVar[int] = 0

    def path(self, name: str) -> str:
        """The path of the resource of this name, as it stands in the key of a file."""
        return name

    @abstractmethod
    def put_back(self, at: OpenPlace, before: ResourceState, image: bytes | None) -> object:
        """Make the thing as it was ``before``, whatever is there now. Raises DeployError, OSError."""

    def wanted_mode(self, item: Item) -> int:
        """The mode that the item is to have."""
        return self.default_mode if item.mode is None else item.mode

    def described(self, item: Item, owner: Owner) -> str:
        """The attributes of something new, in words."""
        capabilities = f", capabilities {' '.join(item.capabilities)}" if item.capabilities else ""
        return f"mode {self.wanted_mode(item):04o}, owner {owner}{capabilities}"

    def attribute_changes(self, item: Item, found: AtPath, owner: Owner) -> list[str]:
        """Differences in mode, owner, ACLs and capabilities, in words."""
        assert found.status is not None
        changes = []
        if found.mode != self.wanted_mode(item):
            changes.append(f"set mode {self.wanted_mode(item):04o} (was {found.mode:04o})")
        has = (found.status.st_uid, found.status.st_gid)
        if has != (owner.uid, owner.gid):
            changes.append(f"set owner {owner} (was {owner_names(*has)})")
        if found.giving or item.capabilities:
            changes += _giving_changes(found.giving, giving(item, found))
        return changes

    def look(self, name: str) -> Seen | None:
        place = place_of(self.path(name))
        return _seen(place.look()) if place is not None else None

    def look_each(self, names: Iterable[str]) -> Iterator[Looked]:
        places = [self._place(name) for name in names]
        found = look_each(place for place in places if isinstance(place, Place))
        for place in places:
            there = next(found) if isinstance(place, Place) else place
            yield _seen(there) if isinstance(there, AtPath) else there

    def _place(self, name: str) -> Place | DeployError | None:
        try:
            return place_of(self.path(name))
        except DeployError as error:
            return error

    def changed(self, left: ResourceState, now: Seen) -> str:
        if left.get("type") != now.state["type"]:
            return f"it is a {now.state['type']} now"
        fields = [field for field in {**left, **now.state} if left.get(field) != now.state.get(field)]
        return ", ".join(dict.fromkeys(_WORDS.get(field, field) for field in fields))

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        """Remove the resources of these entries, the deepest paths first."""
        del purge, wanted
        stayed: dict[str, str] = {}
        going: list[tuple[str, Work]] = []
        deepest_first = sorted(entries, key=lambda entry: entry.name.count("/"), reverse=True)
        for entry, seen in zip(deepest_first, self.look_each(entry.name for entry in deepest_first), strict=True):
            if isinstance(seen, Exception):
                stayed[entry.key] = reason_of(seen)
            elif seen is not None and (place := place_of(self.path(entry.name))) is not None:
                going.append((entry.key, Work(place, partial(self._remove_unchanged, entry.left))))
        with Works([work for _, work in going]) as together:
            for number, (key, _) in enumerate(going):
                try:
                    together.do(number)
                except (DeployError, OSError) as error:
                    stayed[key] = reason_of(error)
        return stayed

    def _remove_unchanged(self, left: ResourceState | None, at: OpenPlace) -> None:
        """Look again, because a person may have written since the first look, and remove the thing. Raises DeployError
        if it changed since it was ``left`` so, and for a folder that is not empty or is somebody's home. An empty file
        is removed even if it changed: blocks and lines may have been removed from it."""
        found = at.look()
        if found.status is None:
            return
        if found.type == stat.S_IFDIR and not found.empty:
            raise DeployError("it is not empty")
        path = f"{at.base.path.rstrip('/')}/{at.path.lstrip('/')}"
        if found.type == stat.S_IFDIR and any(user.pw_dir.rstrip("/") == path for user in pwd.getpwall()):
            raise DeployError("it is somebody's home")
        if left is not None and found.content != b"" and (reason := self.changed(left, Seen(state_of(found)))):
            raise DeployError(f"changed since: {reason}")
        remove(at.parent, at.name, backup=False, batch=at.batch)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        place = place_of(self.path(entry.name))
        if place is None:
            raise DeployError(f"{entry.key}: there is no such user any more")
        before = state_before(entry)
        found = place.look()
        if state_of(found) != before and (found.status is not None or before.get("type") != "nothing"):
            work_at(place, partial(_put_back, before=before, image=image))
        if place.look().status is not None:
            work_at(place, lambda at: forget_backup(at.parent, at.name))


def _seen(found: AtPath) -> Seen | None:
    return None if found.status is None else Seen(state_of(found), found.content)


def refused(item: Item, why: str) -> WantedChange:
    """A change that fails for the reason ``why``."""
    return WantedChange(item.key, why, refused=True)


def in_the_way(item: Item, found: AtPath) -> WantedChange:
    """A change that fails because a person has to move something away first."""
    return refused(item, f"{found.described} is in the way of a {item.kind}; move it away")


def with_diff(change: WantedChange, item: Item, found: AtPath, content: bytes | None) -> WantedChange:
    """``change`` with a diff, where the content changes and people may see it. One that only the policy refuses has
    one."""
    before = found.content if found.type == stat.S_IFREG else found.content or b""
    in_the_way = found.type not in (0, stat.S_IFREG, stat.S_IFLNK) and not found.empty
    if change.refused and (item.policy is not Policy.FAIL or in_the_way):
        return change
    if item.secret or content is None or (found.status is not None and content == before):
        return change
    # The lines beside a part may hold a secret of another deploy, or of a person.
    around = 0 if item.part is not None and change.private else 3
    return replace(change, diff=unified(item.path, before, content, around=around))


def is_private(found: AtPath) -> bool:
    """True for a file that others may not read."""
    return found.type == stat.S_IFREG and not found.mode & stat.S_IROTH


def work_at(place: Place, act: Callable[[OpenPlace], object]) -> None:
    """Do ``act`` at one place; in a home as its user. Raises DeployError."""
    with Works([Work(place, act)]) as works:
        works.do(0)


def state_of(found: AtPath) -> dict[str, JSON]:
    """The state that the ledger keeps; only the ``type`` if there is nothing."""
    state: dict[str, JSON] = {"type": _TYPES.get(found.type, "special file")}
    status = found.status
    if status is None:
        return state
    state |= {"uid": status.st_uid, "gid": status.st_gid}
    if found.type == stat.S_IFLNK:
        return state | {"target": found.target}
    state["mode"] = found.mode
    state |= {word: found.giving[name].hex() for word, name in _GIVING.items() if name in found.giving}
    if found.type != stat.S_IFREG:
        return state
    if found.content is None:
        return state | {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    return state | {"sha256": hashlib.sha256(found.content).hexdigest()}


def attributes_of(state: ResourceState) -> Attributes:
    """The attributes that ``state_of`` noted."""
    mode, uid, gid = (cast("int", state.get(field, 0)) for field in ("mode", "uid", "gid"))
    return Attributes(
        mode, uid, gid, {name: bytes.fromhex(f"{state[word]}") for word, name in _GIVING.items() if word in state}
    )


def giving(item: Item, found: AtPath) -> Mapping[str, bytes]:
    """The ACLs and capabilities that a file or a folder should have: the capabilities that the item says, and no ACLs
    unless the item keeps those that are there."""
    wanted = {name: found.giving[name] for name in (ACCESS, DEFAULT) if item.keep_acl and name in found.giving}
    return wanted | ({CAPABILITY: packed_capabilities(item.capabilities)} if item.capabilities else {})


def _giving_changes(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> Iterator[str]:
    for name, what in ((ACCESS, "ACL"), (DEFAULT, "default ACL")):
        if found.get(name) != wanted.get(name):
            yield f"remove {what}: {acl_words(found[name])}"
    before, after = found.get(CAPABILITY), wanted.get(CAPABILITY)
    if before != after:
        had = capability_words(before) if before is not None else "none"
        yield f"set capabilities {capability_words(after)} (had {had})" if after else f"remove capabilities: {had}"


def removal(item: Item, found: AtPath) -> WantedChange | None:
    """The change that removes the thing at the path of an absent item; None if nothing is there."""
    if found.type == 0:
        return None
    if found.type == stat.S_IFDIR and not found.empty:
        return refused(item, "cannot remove a directory that is not empty; empty it or leave it")
    return WantedChange(item.key, f"remove {found.described}", private=is_private(found))


def _put_back(at: OpenPlace, before: ResourceState, image: bytes | None) -> None:
    kind = before.get("type")
    if kind == "nothing":
        remove(at.parent, at.name, backup=False, batch=at.batch)
    elif kind in _TYPES.values():
        cast("Whole", kind_named(f"{kind}")).put_back(at, before, image)
    else:
        raise DeployError(f"{at.path}: what was there was not kept: it was a {kind}")
