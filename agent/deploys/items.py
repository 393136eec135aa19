"""Items: each is one thing that a deploy wants at a path. Specs make them, the kinds of things at a path read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.domain import codec
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import KeyPath, Mistake
from agent.domain.sealed import before_sealed, contains_sealed, is_sealed
from agent.domain.tree import blob_id

FILE_MODE = 0o644
SECRET_MODE = 0o600
"""The mode of a new file that gets parts of which one holds a secret."""
FOLDER_MODE = 0o755
EXECUTABLE_MODE = 0o755

STABLE = ".local/share/hostwright"
"""The folder in a home for the copies that links lead to. It is the same for every commit, so that programs may
remember it."""

VALIDATED = "%s"
"""The word in the arguments of a program that stands for the path of the new file that it is to judge."""

_NAMELESS = frozenset(("", ".", ".."))
"""Parts of a path that name nothing in their folder."""

_WAYS = ("repository", "source", "policy", "backup", "validate", "links_into")
"""Fields that say how the thing gets there. They say nothing about what it should be."""


class Policy(StrEnum):
    """The way in which the agent treats a file that is there and differs."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    """The file stays as it is, for ever."""
    FAIL = "fail"
    """The file stays, and the deploy fails and names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a deploy wants at a path.

    A file has either ``text`` or ``source`` (a path in the commit, or in the ``repository`` of that tree digest) with
    its ``blob`` id. A directory without ``mode`` is a parent: it is made if it is missing (0755), and left as it is if
    it is there. A block has ``text`` between its markers, a line is ``text``; without ``text`` they are removed.
    """

    kind: str
    """The name of a ``PathKind`` in the table of kinds, such as ``file``, ``directory`` or ``line``."""
    path: str
    """Absolute, or relative to the home of the user ``home``."""
    home: str = ""
    absent: bool = False
    """Wanted absent: a file, a link or an empty directory is removed."""
    part: str | None = None
    """The name of a part, such as a block or a line: the text behind the # in its key."""
    resource_key: str = ""
    """The key, if it is not made of kind, path and part: ``cron:backup``."""
    text: str | None = None
    source: str | None = None
    blob: str | None = None
    repository: str | None = None
    target: str | None = None
    match: str | None = None
    """A regular expression for a line: see ``LineEdit``."""
    comment: str = "#"
    """The sign that begins a comment in the file's language, for the markers of a block."""
    mode: int | None = None
    owner: str = "root"
    """A name or a number, as ``group``. If ``group`` is None, the owner's own group counts."""
    group: str | None = None
    capabilities: tuple[str, ...] = ()
    """Names of the capabilities that a program gets; others are removed."""
    keep_acl: bool = False
    """Keep the ACLs that are there. Without it, ACLs are removed."""
    secret: bool = False
    """Its text holds a secret, or another part of its file does. Nobody is shown the difference, and only owner and
    group may read the file."""
    policy: Policy = Policy.OVERWRITE
    validate: tuple[str, ...] = ()
    """A program with its arguments that is asked if it takes the new content (VALIDATED)."""
    backup: bool = False
    links_into: str | None = None
    """A folder of the home. Links that lead into it are the agent's own: a directory may replace such a link, and a
    link may replace a directory that holds only such links."""

    def __post_init__(self) -> None:
        if not _NAMELESS.isdisjoint(self.path.removeprefix("/").split("/")) or "\0" in self.path:
            raise Mistake(f"{self.path!r} is not a path that anything may be written to", "write it without . and ..")
        if is_sealed(self.text):
            object.__setattr__(self, "secret", True)

    @property
    def key(self) -> str:
        """The resource's key."""
        name = f"~{self.home}/{self.path}" if self.home else self.path
        return self.resource_key or f"{self.kind}:{name}" + (f"#{self.part}" if self.part is not None else "")

    @property
    def is_directory(self) -> bool:
        return self.kind == "directory"

    @property
    def is_parent(self) -> bool:
        """True for a directory that nobody named: it only exists for the things in it."""
        return self.is_directory and self.mode is None and not self.absent

    @property
    def resource(self) -> Resource:
        """The resource. Its digest covers only how the thing should be, and nothing about how it gets there."""
        return _resource(self, self.to_json())

    def to_json(self) -> dict[str, JSON]:
        """The fields that differ from their defaults."""
        plain: dict[str, JSON] = codec.to_plain(self, defaults=False)
        return plain


def _resource(item: Item, written: Mapping[str, JSON]) -> Resource:
    plain = {name: value for name, value in written.items() if name not in _WAYS}
    if item.kind == "file" and item.text is not None:
        plain["blob"] = blob_id(f"{plain.pop('text')}".encode())
    return Resource(item.key, digest_of(plain), absent=item.absent)


def concrete_items(items: Sequence[Item]) -> tuple[list[Mapping[str, JSON]], tuple[Resource, ...]]:
    """The items as arguments of a deploy, and their resources. Each item is serialised once."""
    written: list[Mapping[str, JSON]] = [item.to_json() for item in items]
    return written, tuple(map(_resource, items, written))


def require_private(item: Item, path: KeyPath = (), remedy: str = 'add `mode: "0600"`') -> None:
    """Raise Mistake if a secret would lie in a file that others can read, or be anything but content. The mode of a
    file that only gets parts is checked on the host."""
    if item.kind == "line" and item.match is None and is_sealed(item.part):
        problem = f"a line of {item.path} holds a secret, and without `match` it is known by what it says"
        raise Mistake(problem, "give it a `match`, which finds it by what stands beside the secret", path)
    if item.kind == "line" and not _is_found_without_secret(item):
        problem = f"`match` of a line of {item.path} does not find it by what stands before the secret"
        remedy = "match that alone, such as `match: ^password=`"
        if item.text is None:
            problem = f"a line of {item.path} that is to be absent is named by a secret"
            remedy = "leave `line` out, and `match` what stands before the secret"
        raise Mistake(problem, remedy, path)
    if contains_sealed((item.target, item.match, item.part, item.validate)):
        raise Mistake(f"a secret can only be content, and this is none of {item.path}", "take it out", path)
    if item.secret and item.kind == "file" and (item.mode is None or item.mode & 0o007):
        raise Mistake(f"{item.path} holds a secret, and everybody could read it", remedy, path)


def _is_found_without_secret(item: Item) -> bool:
    """False for a line that its pattern finds, if at all, by the token of a secret. The secret's value is not known
    here, and changes."""
    if contains_sealed((item.match, item.part)):
        return False
    known = item.match is None or not is_sealed(item.text)
    return known or re.search(f"{item.match}", before_sealed(f"{item.text}")) is not None


_read_last: tuple[JSON, list[Item]] = (None, [])


def items_from_json(value: JSON) -> list[Item]:
    """Items from the arguments of a deploy. Raises ValueError for anything else. One ``value`` object is read once: a
    deploy asks for its items when it puts its questions, and again when it looks."""
    global _read_last  # noqa: PLW0603 - of a child, which has one deploy after the other
    if value is None or _read_last[0] is not value:
        _read_last = (value, codec.from_plain(value, list[Item]))
    return [*_read_last[1]]


def in_order(items: Iterable[Item]) -> list[Item]:
    """Items sorted: parents before what they hold; then those to be removed, the deepest first."""
    items = list(items)
    present = sorted((item for item in items if not item.absent), key=_parts)
    absent = sorted((item for item in items if item.absent), key=_parts, reverse=True)
    return present + absent


def misplaced(items: Iterable[Item], wholes: Mapping[str, Item]) -> Iterator[tuple[Item, Item, str]]:
    """The items that are to lie at a path below one of ``wholes`` (by path) that is to be no folder, each with that one
    and with what it is to be, in words."""
    for item in items:
        for above in (wholes[path] for path in parents(item.path) if path in wholes and not item.absent):
            if above.absent or not above.is_directory:
                yield item, above, "absent" if above.absent else f"a {above.kind}"


def parents(path: str) -> tuple[str, ...]:
    """The paths of the folders above ``path``, the nearest first; without / and without a home itself."""
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return tuple(found)


def _parts(item: Item) -> list[str]:
    return item.path.split("/")
