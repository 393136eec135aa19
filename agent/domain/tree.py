"""The files of a config repo, in a commit or in a plain folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.domain.digest import JSON, digest_of
from agent.domain.near import near
from agent.domain.stand_in import StandIn, link_stand_in, stand_in
from agent.domain.text import printable


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path (relative, ``/`` between parts), Git's mode, Git's blob id (40 hex digits)."""

    path: str
    mode: int
    blob: str

    @property
    def executable(self) -> bool:
        return self.mode == 0o100755

    @property
    def link(self) -> bool:
        return self.mode == 0o120000


class Tree(Protocol):
    """Read-only view of the files of a config repo.

    Most methods have a plain answer here, made from ``entries``. ``system.git_tree.CommitTree`` and
    ``system.folder.FolderTree`` have faster ones. Neither follows a symbolic link: a link is an entry whose content is
    its target.
    """

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        """All files at or below ``prefix``, sorted by path. Each of them is read, so ask for no more than you need."""
        ...

    def paths(self, prefix: str = "") -> tuple[str, ...]:
        """The paths of ``entries``; no file is read."""
        return tuple(entry.path for entry in self.entries(prefix))

    def names(self, folder: str = "") -> tuple[str, ...]:
        """The names of the files and folders in a folder, sorted; none where there is no such folder."""
        above = f"{folder.strip('/')}/".lstrip("/")
        inside = (path.removeprefix(above) for path in self.paths(folder) if path.startswith(above))
        return tuple(sorted({path.partition("/")[0] for path in inside}))

    def entry(self, path: str) -> Entry | None:
        """The file at ``path``; None without one."""
        return next((entry for entry in self.entries(path) if entry.path == path), None)

    def read(self, path: str) -> bytes:
        """The content of one file. Raises KeyError when there is none."""
        ...

    def stand_in(self, entry: Entry) -> StandIn | None:
        """The stand-in that the file at ``entry`` is; None for real content."""
        content = self.read(entry.path)
        return link_stand_in(content.decode(errors="replace")) if entry.link else stand_in(content)

    def absence(self, path: str) -> Absence | None:  # noqa: ARG002 - most trees hold all that there is
        """The reason why ``path`` is missing where a person would expect it, such as a submodule; None without one."""
        return None


class EditedTree(Tree):
    """A view of ``tree`` with some ``files`` replaced: their content by path; None: no file is there."""

    def __init__(self, tree: Tree, files: Mapping[str, bytes | None]) -> None:
        self._tree = tree
        self._files = files

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        found = (self.entry(path) for path in self.paths(prefix))
        return tuple(entry for entry in found if entry is not None)

    def paths(self, prefix: str = "") -> tuple[str, ...]:
        prefix = prefix.strip("/")
        new = {path for path, content in self._files.items() if content is not None}
        inside = {path for path in new if not prefix or path == prefix or path.startswith(f"{prefix}/")}
        return tuple(sorted(inside.union(path for path in self._tree.paths(prefix) if path not in self._files)))

    def entry(self, path: str) -> Entry | None:
        if path not in self._files:
            return self._tree.entry(path)
        content = self._files[path]
        return Entry(path, 0o100644, blob_id(content)) if content is not None else None

    def read(self, path: str) -> bytes:
        if path not in self._files:
            return self._tree.read(path)
        if (content := self._files[path]) is None:
            raise KeyError(path)
        return content

    def stand_in(self, entry: Entry) -> StandIn | None:
        return super().stand_in(entry) if entry.path in self._files else self._tree.stand_in(entry)

    def absence(self, path: str) -> Absence | None:
        return self._tree.absence(path)


@dataclass(frozen=True, slots=True)
class Absence:
    """The reason why a path is missing. ``why``: words that go on behind the path. ``remedy``: what to do."""

    why: str
    remedy: str


IN_SUBMODULE = "put the files themselves into this repository, or name their repository in site.yaml"


def in_submodule(module: str) -> Absence:
    """The absence of a path in the submodule ``module``: hosts fetch one repository, and no other for a submodule."""
    return Absence(f"lies in the submodule {printable(module)}, which hosts do not fetch", IN_SUBMODULE)


def odd_name(name: str) -> str:
    """The reason why a file name, which git allows, is refused here: it cannot be shown, or not be told from another
    one. Empty for any other name."""
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "holds a control character"
    return "is not UTF-8" if any("\udc80" <= letter <= "\udcff" for letter in name) else ""


def leads_out(path: str, target: str) -> bool:
    """True if the link at ``path`` may lead out of its tree. False only if ``..`` stands nowhere but at the beginning
    of its ``target``, and does not lead above the root: then no chain of such links leads out either."""
    parts = target.split("/")
    climbs = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    plain = target.isprintable() and ".." not in parts[climbs:]
    return not plain or not target or target.startswith("/") or climbs > path.count("/")


LINK_HOPS = 40
"""The most links on the way to one file; the kernel has the same limit."""


def destination(path: str, target_of: Callable[[str], str | None]) -> str | None:
    """The path in the tree that ``path`` leads to by links; None where a link leads out of the tree, or in circles.
    ``target_of`` returns the target of the link at a path; None where no link is."""
    found: list[str] = []
    left, hops = path.split("/")[::-1], 0
    while left:
        part = left.pop()
        if part == "..":
            if not found:
                return None
            found.pop()
        elif part not in ("", "."):
            found.append(part)
            target = target_of("/".join(found))
            if target is not None:
                hops += 1
                if target.startswith("/") or hops > LINK_HOPS:
                    return None
                found.pop()
                left.extend(target.split("/")[::-1])
    return "/".join(found)


def followed(tree: Tree, path: str) -> str | None:
    """The ``destination`` of ``path`` in ``tree``."""

    def target_of(found: str) -> str | None:
        entry = tree.entry(found)
        return tree.read(found).decode(errors="replace") if entry is not None and entry.link else None

    return destination(path, target_of)


def below(tree: Tree, folder: str) -> dict[str, Entry]:
    """The files below a folder, by their path in it."""
    prefix = f"{folder.rstrip('/')}/".lstrip("/")
    found = (entry for entry in tree.entries(folder.rstrip("/")) if entry.path.startswith(prefix))
    return {entry.path.removeprefix(prefix): entry for entry in found}


def nearest_path(tree: Tree, path: str) -> str | None:
    """The path of a file or folder that ``path`` may be a misspelling of, each part the nearest name; None without
    one."""
    found = ""
    for part in path.strip("/").split("/"):
        names = tree.names(found)
        meant = [part] if part in names else near(part, names)
        if not meant:
            return None
        found = f"{found}/{meant[0]}".lstrip("/")
    return found if found != path else None


def tree_digest(tree: Tree) -> str:
    """sha256 (64 hex digits) over all files of ``tree``: path, mode, and sha256 of the content."""
    files: list[JSON] = [
        [entry.path, entry.mode, hashlib.sha256(tree.read(entry.path)).hexdigest()] for entry in tree.entries()
    ]
    return digest_of(files)


def blob_id(content: bytes) -> str:
    """Git's name for this content (sha1 object format, gitformat-loose)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
