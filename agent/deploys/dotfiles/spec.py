"""dotfiles: which sets of files lie in whose home.

- dotfiles: {user: ann, sets: [common, desktop], backup: true, policy: {".bashrc": keep}}
- dotfiles: {users: [bob, eve], sets: [common]}

A set is the folder ``dotfiles/<set>/`` of the config repo: files as they lie in a home, ``*.j2`` rendered.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from agent.deploys.items import EXECUTABLE_MODE, FILE_MODE, Item, Kind, Policy, items_to_json, parents
from agent.deploys.spec import Concrete, Sources, Spec
from agent.domain.desired import Resource
from agent.domain.digest import JSON
from agent.domain.tree import Entry
from agent.errors import InventoryError

FOLDER = "dotfiles"
TEMPLATE = ".j2"

PRIVATE = (".ssh", ".gnupg")
"""Folders whose programs refuse files that others can read; Git does not remember that."""

UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$")]
SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


@dataclass(frozen=True, slots=True)
class _Home:
    """What one user gets, after all plays."""

    sets: tuple[str, ...] = ()
    policy: Mapping[str, Policy] = field(default_factory=dict)
    backup: bool = False


class DotfilesSpec(Spec):
    kind: ClassVar[str] = "dotfiles"

    user: UserName | None = Field(default=None, description="Whose home; the account must exist by then.")
    users: tuple[UserName, ...] = Field(default=(), description="The same for several users.")
    sets: tuple[SetName, ...] = Field(
        default=(),
        description=f"Folders of `{FOLDER}/` in the config repo, laid over each other in this order: a file of a later"
        " one takes the place of an earlier's.",
    )
    policy: Mapping[str, Policy] = Field(
        default_factory=dict,
        description="By path in the home, or shell pattern in which `*` also matches `/`: what happens to a file that"
        " is there and differs. `overwrite` (default) replaces it, `keep` leaves it, `fail` leaves it and fails."
        " Of several patterns that match the last counts.",
    )
    backup: bool = Field(
        default=False,
        description="Keep what was there before the first change, once, as `<path>.before-hostwright`.",
    )

    _homes: dict[str, _Home] = PrivateAttr(default_factory=dict)
    """By user. The fields are what one play says; merged plays differ here only."""

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if (self.user is None) is not bool(self.users):
            raise ValueError("give either `user` or `users`")
        return self

    @property
    def homes(self) -> dict[str, _Home]:
        own = _Home(self.sets, self.policy, self.backup)
        return self._homes or dict.fromkeys(self.users or (self.user or "",), own)

    def merged(self, later: Self) -> Self:
        """By user; a user that only one of them names gets what that one says."""
        homes = dict(self.homes)
        for user, over in later.homes.items():
            under = homes.get(user, _Home())
            homes[user] = _Home(
                tuple(dict.fromkeys((*under.sets, *over.sets))),
                {**under.policy, **over.policy},
                over.backup if "backup" in later.model_fields_set else under.backup,
            )
        merged = later.model_copy()
        merged._homes = homes
        return merged

    def concrete(self, sources: Sources) -> Concrete:
        entries = _by_set(sources)
        if bare := [user for user, home in self.homes.items() if not home.sets]:
            raise InventoryError(f"{bare[0]} gets no sets; list folders of {FOLDER}/ in `sets`")
        missing = {name: None for home in self.homes.values() for name in home.sets if name not in entries}
        if missing:
            raise InventoryError("\n".join(_complaint(name, entries) for name in missing))
        homes: dict[str, JSON] = {}
        resources: list[Resource] = []
        for user, home in self.homes.items():
            items = list(_items(user, home, entries, sources))
            homes[user] = items_to_json(items)
            resources += [item.resource for item in items]
        return Concrete({"homes": homes}, tuple(resources))


def _by_set(sources: Sources) -> dict[str, dict[str, Entry]]:
    """Of each set its files by their path in the set."""
    sets: dict[str, dict[str, Entry]] = {}
    for entry in sources.tree.entries(FOLDER):
        _, _, inside = entry.path.partition("/")
        name, _, path = inside.partition("/")
        if path:
            sets.setdefault(name, {})[path] = entry
    return sets


def _complaint(name: str, sets: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, sets, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(sets)) or 'none'}"
    return f"there is no set {FOLDER}/{name}/ in the config repo; {hint}"


def _items(user: str, home: _Home, sets: Mapping[str, Mapping[str, Entry]], sources: Sources) -> Iterator[Item]:
    files: dict[str, Item] = {}
    for name in home.sets:
        own: dict[str, Item] = {}
        for path, entry in sets[name].items():
            item = _item(user, path, entry, sources)
            if item.path in own:
                raise InventoryError(f"{FOLDER}/{name}/ holds both {item.path} and {item.path}{TEMPLATE}")
            own[item.path] = item
        # A later set's file takes the place of an earlier's folder of that name, and the other way round.
        hidden = {parent for path in own for parent in parents(path)}
        files = {
            path: item
            for path, item in files.items()
            if path not in hidden and not any(parent in own for parent in parents(path))
        }
        files |= own
    folders = {parent for path in files for parent in parents(path)}
    for path in sorted({*files, *folders}):
        item = files.get(path) or _folder(user, path)
        policy = _policy(home, path) if path in files else Policy.OVERWRITE
        yield replace(item, policy=policy, backup=home.backup and path in files)


def _item(user: str, path: str, entry: Entry, sources: Sources) -> Item:
    target = path
    mode = EXECUTABLE_MODE if entry.executable else FILE_MODE
    if _is_private(path):
        mode &= 0o700
    if entry.link:
        link = sources.tree.read(entry.path).decode(errors="surrogateescape")
        return Item(key=f"link:~{user}/{path}", path=path, kind=Kind.LINK, target=link, owner=user)
    if path.endswith(TEMPLATE) and posixpath.basename(path) != TEMPLATE:
        target = path.removesuffix(TEMPLATE)
        try:
            template = sources.tree.read(entry.path).decode()
        except UnicodeDecodeError:
            raise InventoryError(f"the template {entry.path} is not UTF-8 text") from None
        text = sources.render(template, entry.path)
        return Item(key=f"file:~{user}/{target}", path=target, kind=Kind.FILE, text=text, mode=mode, owner=user)
    file = Item(key=f"file:~{user}/{path}", path=path, kind=Kind.FILE, mode=mode, owner=user)
    return replace(file, source=entry.path, blob=entry.blob)


def _folder(user: str, path: str) -> Item:
    """Private ones must be; others are left as they are where they are there."""
    mode = 0o700 if _is_private(path) else None
    return Item(key=f"directory:~{user}/{path}", path=path, kind=Kind.DIRECTORY, mode=mode, owner=user)


def _is_private(path: str) -> bool:
    return path.partition("/")[0] in PRIVATE


def _policy(home: _Home, path: str) -> Policy:
    matching = [policy for pattern, policy in home.policy.items() if fnmatchcase(path, pattern)]
    return matching[-1] if matching else Policy.OVERWRITE
