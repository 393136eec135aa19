"""A set as it lies in a repository (``SetFiles``), which every layout reads, and all that it wants in a home
(``Contents``), which every layout returns."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from agent.deploys.items import EXECUTABLE_MODE, FILE_MODE, Policy, parents
from agent.deploys.spec import content_of
from agent.domain.fault import Fault, Mistake
from agent.domain.tree import Entry, Tree

TEMPLATE = ".j2"
ENCRYPTED = ".age"

IGNORE = "name it in `ignore` to leave it out"
"""The last way out in each complaint about a file of a set."""


@dataclass(frozen=True, slots=True)
class SetFiles:
    """A set's files by their path in it. ``name`` is the folder that complaints name."""

    name: str
    tree: Tree
    entries: Mapping[str, Entry]

    def text(self, entry: Entry) -> str:
        """The text of a file. Raises Mistake for a file that is not UTF-8."""
        try:
            return content_of(self.tree, entry.path).decode()
        except UnicodeDecodeError:
            raise Mistake(f"{entry.path} is not UTF-8 text", f"save it as UTF-8, or {IGNORE}") from None

    def leaf(self, path: str, home_path: str, ignored: int = 0) -> Leaf:
        """The set's file at ``path`` for ``home_path`` in the home, with Git's mode; ``*.j2`` are templates, ``*.age``
        are sealed."""
        entry = self.entries[path]
        if entry.link:
            target = self.tree.read(entry.path).decode(errors="surrogateescape")
            return Leaf(path=home_path, origin=path, entry=entry, target=target, ignored=ignored)
        origin, suffix = _without_suffix(path)
        home_path = home_path.removesuffix(suffix)
        mode = EXECUTABLE_MODE if entry.executable else FILE_MODE
        mode &= 0o700 if suffix == ENCRYPTED else 0o777
        template, sealed = suffix == TEMPLATE, suffix == ENCRYPTED
        return Leaf(
            path=home_path, origin=origin, entry=entry, template=template, sealed=sealed, mode=mode, ignored=ignored
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One path of a home as a set wants it: a file, a link (if there is a ``target``), or nothing (``absent``).

    ``origin`` is the path in the set, without the suffix of a template or an age file. Below the folder that links lead
    to, its copy has this path. ``ignored`` is the number of parts of ``path`` up to the one that the set's own rules
    leave out; 0 for none.
    """

    path: str
    origin: str
    entry: Entry
    absent: bool = False
    target: str | None = None
    template: bool = False
    sealed: bool = False
    """True for an age file: the home gets its decrypted content."""
    mode: int = FILE_MODE
    policy: Policy = Policy.OVERWRITE
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a set wants. ``folders`` are wanted even if empty; their mode is None if it does not matter."""

    leaves: tuple[Leaf, ...]
    folders: Mapping[str, int | None] = field(default_factory=dict)

    def without(self, patterns: Iterable[str], *, ignored: bool) -> Contents:
        """The contents without what ``patterns`` match. ``ignored``: also without what the set's own rules leave
        out."""
        leaves = [leaf for leaf in self.leaves if not matches(leaf.path, patterns) and not (ignored and leaf.ignored)]
        folders = {path: mode for path, mode in self.folders.items() if not matches(path, patterns)}
        return Contents(tuple(leaves), folders)


def _without_suffix(path: str) -> tuple[str, str]:
    """``path`` without the suffix of a template or an age file, and that suffix; empty for any other file."""
    for suffix in (TEMPLATE, ENCRYPTED):
        if path.endswith(suffix) and posixpath.basename(path) != suffix:
            return path.removesuffix(suffix), suffix
    return path, ""


def matches(path: str, patterns: Iterable[str]) -> bool:
    """True if one of the shell patterns matches ``path`` or a folder above it; ``*`` also matches ``/``."""
    return any(fnmatchcase(part, pattern) for pattern in patterns for part in (path, *parents(path)))


def contradictions(contents: Contents) -> Iterator[Fault]:
    """The faults of paths that cannot all be in one home."""
    wanted: dict[str, Leaf] = {}
    for leaf in contents.leaves:
        if leaf.path in wanted:
            yield Fault(f"both {wanted[leaf.path].entry.path} and {leaf.entry.path} are for {leaf.path}", IGNORE)
        wanted[leaf.path] = leaf
    for leaf in contents.leaves:
        for parent in parents(leaf.path):
            if parent in wanted:
                other = wanted[parent].entry.path
                yield Fault(f"{leaf.entry.path} is for {leaf.path}, so {parent} cannot be what {other} says", IGNORE)
