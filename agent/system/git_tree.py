"""The files of a commit, read from git's tree objects, and written to a folder.

A tree is read object by object. The reader checks each object against its name, so the files are exactly those that
the commit's signature covers, unchanged by attributes, filters or line-end rules. Paths that could mean anything but a
file below the folder are refused, as git itself refuses to check them out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from agent.domain.stand_in import StandIn, link_stand_in
from agent.domain.text import printable
from agent.domain.tree import Absence, Entry, Tree, in_submodule, leads_out, odd_name
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder, sync_file_system
from agent.system.git_objects import ObjectStore

ENTRIES_LIMIT: Final = 100_000
"""Files of one commit; a few kilobytes of trees that name each other can stand for billions of files."""
PATH_LIMIT: Final = 1024
"""Bytes of one path: also below the folder of exports it stays well below the kernel's limit of 4096."""
_FOLDER: Final = 0o040000
_LINK: Final = 0o120000
_SUBMODULE: Final = 0o160000
_IGNORED_BY_HFS: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""Characters that HFS+ ignores in names, so that `.g\u200cit` means `.git`."""

ReadObject = Callable[[str, str], bytes]
"""Called with the name and the type of an object; returns its content."""


class CommitTree(Tree):
    """The files of one commit, but for submodules and names that not every host can have; ``left_out`` tells those.

    Methods raise SourceError, kind ``unsafe-tree``, for paths that must not be written, and whatever the function
    ``read`` raises.
    """

    def __init__(self, root: str, read: ReadObject) -> None:
        self.root = root
        self._read = read
        self._folders: dict[str, dict[str, tuple[int, str]]] = {}
        self._entries: tuple[Entry, ...] | None = None
        self._left_out: list[str] = []
        self._odd: dict[str, list[tuple[str, str]]] = {}

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        """All files at or below ``prefix``, sorted by path."""
        if self._entries is None:
            self._entries = tuple(sorted(self._walk(self.root, ""), key=lambda entry: entry.path))
        if not prefix:
            return self._entries
        below = prefix.rstrip("/") + "/"
        return tuple(entry for entry in self._entries if entry.path == prefix or entry.path.startswith(below))

    def names(self, folder: str = "") -> tuple[str, ...]:
        mode, found = self._find(folder.strip("/")) if folder.strip("/") else (_FOLDER, self.root)
        return tuple(sorted(self._folder(found))) if mode == _FOLDER else ()

    def entry(self, path: str) -> Entry | None:
        """The file at ``path``; None if there is none. Like ``read``, this reads only the folders above it."""
        mode, found = self._find(path)
        return None if mode in (0, _FOLDER, _SUBMODULE) else Entry(path, mode, found)

    def read(self, path: str) -> bytes:
        """The content of a file, or the target of a link. Raises KeyError if there is none at ``path``."""
        entry = self.entry(path)
        if entry is None:
            raise KeyError(path)
        return self._read(entry.blob, "blob")

    def stand_in(self, entry: Entry) -> StandIn | None:
        """The stand-in that a link is; None for a file. Files are judged when they are installed, because to read all
        of them in each cycle costs too much."""
        return link_stand_in(self._target(entry)) if entry.link else None

    def absence(self, path: str) -> Absence | None:
        parts = path.split("/")
        for number in range(1, len(parts) + 1):
            above = "/".join(parts[:number])
            if self._find(above)[0] == _SUBMODULE:
                return in_submodule(above)
        return None

    def left_out(self, *, outward: bool = False) -> tuple[str, ...]:
        """The parts of the commit that hosts do not get, in words: those that this tree leaves out, and links that lead
        out of it. Links below dotfiles/ are made in homes wherever they lead; with ``outward`` all links are made."""
        kept = (*(self.entries() if outward else self.inside()), *self.entries("dotfiles/"))
        leading = {entry.path for entry in self.entries()} - {entry.path for entry in kept}
        out = (f"the link {printable(path)}, which leads out of the repository" for path in leading)
        return tuple(sorted((*self._left_out, *out)))

    def inside(self) -> tuple[Entry, ...]:
        """The entries without the links that lead out of the tree."""
        return tuple(each for each in self.entries() if not each.link or not leads_out(each.path, self._target(each)))

    def export(self, store: ObjectStore, target: Path, *, outward: bool = False) -> None:
        """Write all files below ``target``, which appears only when all of them are on the disk. Without ``outward``,
        links that lead out of it are left out.

        Folders get the mode 0555, files 0444 or 0555. Raises OSError, and whatever ``store`` raises; then there is
        nothing at ``target``.
        """
        temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
        discard(temporary)
        entries = self.entries() if outward else self.inside()
        parents = (parent for entry in entries for parent in PurePosixPath(entry.path).parents)
        folders = sorted({PurePosixPath(), *parents})
        try:
            for folder in folders:
                (temporary / folder).mkdir(mode=0o700)
            for entry in entries:
                if entry.link:
                    (temporary / entry.path).symlink_to(self._target(entry))
                else:
                    _write(temporary / entry.path, entry, store)
            for folder in reversed(folders):
                (temporary / folder).chmod(0o555)
            sync_file_system(temporary)
            temporary.rename(target)
        except BaseException:
            discard(temporary)
            raise
        fsync_folder(target.parent)

    def _target(self, link: Entry) -> str:
        return os.fsdecode(self._read(link.blob, "blob"))

    def _find(self, path: str) -> tuple[int, str]:
        """The mode and the object's name of the entry at ``path``; the mode is 0 if there is none."""
        mode, found = _FOLDER, self.root
        for name in path.split("/"):
            mode, found = self._folder(found).get(name, (0, "")) if mode == _FOLDER else (0, "")
        return mode, found

    def _walk(self, root: str, above: str) -> Iterator[Entry]:
        pending, count = [(root, above)], 0
        while pending:
            folder, prefix = pending.pop()
            names = self._folder(folder)
            self._left_out += [f"{printable(prefix)}{odd}, whose name {why}" for odd, why in self._odd[folder]]
            for name, (mode, found) in names.items():
                path = prefix + name
                count += 1
                if count > ENTRIES_LIMIT:
                    raise _unsafe(f"it holds more than {ENTRIES_LIMIT} files", "hosts take no more; remove some")
                if len(path.encode()) > PATH_LIMIT:
                    shown = printable(path, 80)
                    raise _unsafe(f"a path is longer than {PATH_LIMIT} bytes: {shown}", "hosts take no longer ones")
                if mode == _FOLDER:
                    pending.append((found, f"{path}/"))
                elif mode == _SUBMODULE:
                    self._left_out.append(f"the submodule {printable(path)}, which hosts do not fetch")
                else:
                    yield Entry(path, mode, found)

    def _folder(self, tree: str) -> dict[str, tuple[int, str]]:
        if tree not in self._folders:
            self._folders[tree], self._odd[tree] = _parsed(self._read(tree, "tree"))
        return self._folders[tree]


def root_of(sha: str, commit: bytes) -> str:
    """The name of the tree of ``commit``, a commit as git stores it. Raises SourceError."""
    if root := re.match(rb"tree ([0-9a-f]{40})\n", commit):
        return root[1].decode()
    raise SourceError(f"the commit {sha} names no tree", kind=ProblemKind.BAD_OBJECTS, consequence=Consequence.STALL)


def _write(path: Path, entry: Entry, store: ObjectStore) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        store.copy(entry.blob, "blob", file)
        os.fchmod(descriptor, 0o555 if entry.executable else 0o444)


def _parsed(tree: bytes) -> tuple[dict[str, tuple[int, str]], list[tuple[str, str]]]:
    """The entries of a tree object by name, and apart from them the names that hosts do not take, printable, each with
    the reason. Format (gitformat-tree): ``<octal mode> SP <name> NUL <20 bytes>``, repeated. Raises SourceError."""
    found: dict[str, tuple[int, str]] = {}
    odd: list[tuple[str, str]] = []
    position = 0
    while position < len(tree):
        end = tree.find(b"\0", position)
        mode, blank, raw = tree[position:end].partition(b" ")
        if end < 0 or not blank or not re.fullmatch(rb"[0-7]{5,6}", mode) or len(tree) < end + 21:
            raise _unsafe("a folder is malformed")
        sha, position = tree[end + 1 : end + 21].hex(), end + 21
        name = _checked_name(raw.decode(errors="surrogateescape"))
        if why := odd_name(name):
            odd.append((printable(raw.decode(errors="backslashreplace")), why))
        elif name in found:
            raise _unsafe(f"the name {printable(name)} stands twice in one folder")
        else:
            found[name] = (_kind(int(mode, 8), name), sha)
    return found, odd


def _kind(mode: int, name: str) -> int:
    if mode in (_FOLDER, _LINK, _SUBMODULE):
        return mode
    if mode & 0o170000 != 0o100000:
        raise _unsafe(f"{printable(name)} has the unknown type {mode:o}")
    return 0o100755 if mode & 0o100 else 0o100644


def _checked_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name:
        raise _unsafe(f"{name!r} cannot be the name of a file")
    if any(_means_git(part) for part in name.split("\\")):
        raise _unsafe(f"{printable(name)} stands for git's own folder")
    return name


def _means_git(name: str) -> bool:
    """True if some file system takes ``name`` for ``.git``: NTFS drops trailing dots, blanks and streams, and knows
    ``git~1``; HFS+ drops invisible characters; both ignore case."""
    bare = _IGNORED_BY_HFS.sub("", name).partition(":")[0].rstrip(" .").casefold()
    return bare in (".git", "git~1")


def _unsafe(why: str, what: str = "git itself refuses to check it out: find out who made it") -> SourceError:
    return SourceError(
        f"the commit cannot be used: {why}",
        kind=ProblemKind.UNSAFE_TREE,
        hint=f"{what}; a new commit without it will do",
        consequence=Consequence.STALL,
    )
