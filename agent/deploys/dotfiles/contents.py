"""A set as it lies in a repository, and what it wants in a home: what every layout reads, and what it gives."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from agent.deploys.items import FILE_MODE, Policy, parents
from agent.deploys.spec import content_of
from agent.domain.fault import Fault, Mistake
from agent.domain.tree import Entry, Tree

TEMPLATE = ".j2"
ENCRYPTED = ".age"

IGNORE = "name it in `ignore` to leave it out"
"""The end of every complaint about a file that cannot be what it says."""


@dataclass(frozen=True, slots=True)
class SetFiles:
    """A set's files by their path in it. ``name`` is the folder that complaints name."""

    name: str
    tree: Tree
    entries: Mapping[str, Entry]

    def text(self, entry: Entry) -> str:
        """Raises InventoryError for a file that is not UTF-8."""
        try:
            return content_of(self.tree, entry.path).decode()
        except UnicodeDecodeError:
            raise Mistake(f"{entry.path} is not UTF-8 text", f"save it as UTF-8, or {IGNORE}") from None

    def target(self, entry: Entry) -> str:
        """Of a link."""
        return self.tree.read(entry.path).decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a set wants at ``path`` of a home: a file, a link where there is a ``target``, or nothing (``absent``).

    ``origin`` is the path in the set, without the suffix of a template: what its copy is called where links lead to.
    ``ignored`` is the number of parts of ``path`` up to the one that the set's own rules leave out; 0 for none.
    """

    path: str
    origin: str
    entry: Entry
    absent: bool = False
    target: str | None = None
    template: bool = False
    mode: int = FILE_MODE
    policy: Policy = Policy.OVERWRITE
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """What a set wants. ``folders`` are there for their own sake, with a mode or None for one that does not matter."""

    leaves: tuple[Leaf, ...]
    folders: Mapping[str, int | None] = field(default_factory=dict)

    def without(self, patterns: Iterable[str], *, ignored: bool) -> Contents:
        """``ignored``: also without what the set's own rules leave out."""
        leaves = [leaf for leaf in self.leaves if not matches(leaf.path, patterns) and not (ignored and leaf.ignored)]
        folders = {path: mode for path, mode in self.folders.items() if not matches(path, patterns)}
        return Contents(tuple(leaves), folders)


def without_suffix(path: str) -> tuple[str, bool]:
    """The path that a file has in the home, and whether it is a template."""
    if path.endswith(TEMPLATE) and posixpath.basename(path) != TEMPLATE:
        return path.removesuffix(TEMPLATE), True
    return path, False


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the shell patterns matches ``path`` or a folder that it is in; ``*`` also matches ``/``."""
    return any(fnmatchcase(part, pattern) for pattern in patterns for part in (path, *parents(path)))


def wrong_with(complaints: Iterable[str]) -> Mistake:
    """Complaints about a set, each of which ends in its remedy behind the last semicolon, if it has one of its own."""
    parts = (complaint.rpartition("; ") for complaint in complaints)
    return Mistake.of(Fault(problem or remedy, remedy if problem else IGNORE) for problem, _, remedy in parts)


def complaints(contents: Contents) -> list[str]:
    """Why these cannot all lie in one home, or may not."""
    found: list[str] = []
    wanted: dict[str, Leaf] = {}
    for leaf in contents.leaves:
        if leaf.path in wanted:
            found.append(f"both {wanted[leaf.path].entry.path} and {leaf.entry.path} are for {leaf.path}")
        wanted[leaf.path] = leaf
        if leaf.entry.path.endswith(ENCRYPTED) and not leaf.ignored:
            found.append(f"{leaf.entry.path} is encrypted: that comes with secrets, in a later version; {IGNORE}")
    for leaf in contents.leaves:
        found += [
            f"{leaf.entry.path} is for {leaf.path}, so {parent} cannot be what {wanted[parent].entry.path} says"
            for parent in parents(leaf.path)
            if parent in wanted
        ]
    return found
