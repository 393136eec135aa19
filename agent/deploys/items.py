"""Items: what ``files`` and ``dotfiles`` want at one path each. Made by their specs, read by their operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from agent.deploys.edits import Edit
from agent.domain import codec
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Mistake
from agent.domain.tree import blob_id

FILE_MODE = 0o644
FOLDER_MODE = 0o755
EXECUTABLE_MODE = 0o755


class ItemType(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    EDIT = "edit"
    """A line or a block of a file whose rest is not ours."""
    ABSENT = "absent"


class Policy(StrEnum):
    """What happens to a file that is there and differs."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    """It stays as it is, for ever."""
    FAIL = "fail"
    """It stays, and the deploy fails and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One owned thing. ``key`` is its resource's; ``path`` is absolute, or relative to a home.

    A file has either ``text`` or ``source`` (a path in the commit, or in the ``repository`` of that tree digest) with
    its ``blob`` id. ``owner`` and ``group`` are names or numbers; no group: the owner's own. A directory without
    ``mode`` is a parent: it is made when it is missing (0755), and left as it is when it is there.
    """

    key: str
    path: str
    kind: ItemType
    text: str | None = None
    source: str | None = None
    blob: str | None = None
    repository: str | None = None
    target: str | None = None
    edit: Edit | None = None
    mode: int | None = None
    owner: str = "root"
    group: str | None = None
    capabilities: tuple[str, ...] = ()
    """Those that a file gives to whoever runs it, by name; it has no others."""
    keep_acl: bool = False
    """ACLs that are there stay. Without, there are none."""
    policy: Policy = Policy.OVERWRITE
    validate: tuple[str, ...] = ()
    """A program and its arguments, which is asked whether it takes the new content (``validating.PLACEHOLDER``)."""
    backup: bool = False
    links_into: str | None = None
    """A folder of the home. Links that lead into it are the agent's own: they give way to a directory of their name,
    and a directory that holds nothing else to a link."""

    def __post_init__(self) -> None:
        if any(part in ("", ".", "..") for part in self.path.removeprefix("/").split("/")) or "\0" in self.path:
            raise Mistake(f"{self.path!r} is not a path that anything may be written to", "write it without . and ..")

    @property
    def resource(self) -> Resource:
        """Its digest is over what the thing should be, not over how it gets there."""
        content = blob_id(self.text.encode()) if self.text is not None else self.blob
        plain = replace(self, text=None, source=None, repository=None, blob=content)
        plain = replace(plain, policy=Policy.OVERWRITE, backup=False, links_into=None)
        digest = digest_of([{name: value for name, value in codec.to_plain(plain).items() if name != "validate"}])
        return Resource(self.key, digest, absent=self.kind is ItemType.ABSENT)


def items_to_json(items: Iterable[Item]) -> list[Mapping[str, JSON]]:
    """Items as arguments of a deploy."""
    return [codec.to_plain(item, defaults=False) for item in items]


def items_from_json(value: JSON) -> list[Item]:
    """The reverse of ``items_to_json``. Raises ValueError for anything else."""
    return codec.from_plain(value, list[Item])


def in_order(items: Iterable[Item]) -> list[Item]:
    """Parents before what they hold; what is to go comes last, the deepest first."""
    items = list(items)
    present = sorted((item for item in items if item.kind is not ItemType.ABSENT), key=_parts)
    absent = sorted((item for item in items if item.kind is ItemType.ABSENT), key=_parts, reverse=True)
    return present + absent


def parents(path: str) -> tuple[str, ...]:
    """The folders above ``path``, without / and without a home itself."""
    return tuple(f"{parent}" for parent in PurePosixPath(path).parents if f"{parent}" not in ("/", "."))


def _parts(item: Item) -> tuple[str, ...]:
    return PurePosixPath(item.path).parts
