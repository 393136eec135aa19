"""A person's clone as Git sees it: the files that the next commit holds, without the other files in the folder.

The clone belongs to a person, and root may look at it, so its configuration must not count. Git works in a repository
of our own, on a copy of the clone's index, with the clone's objects: the filters, hooks, monitors and pagers that the
clone names are unknown there. Only refs and settings are read from the clone itself.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Final

from agent.domain.stand_in import FILTERS, StandIn, stand_in
from agent.domain.text import printable
from agent.domain.tree import Absence, Entry, in_submodule, leads_out, odd_name
from agent.errors import SourceError
from agent.system.files import read_bounded
from agent.system.folder import FolderTree, T
from agent.system.git_command import git as run_git
from agent.system.process import Completed

TIMEOUT_S: Final = 60.0
INDEX_LIMIT: Final = 256 * 1024 * 1024
"""Bytes of an index: more than a million files."""
_SUBMODULE: Final = "160000"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A clone with its files. ``top``: the folder of the files. ``git``: its repository. ``common``: the repository of
    which it is a linked worktree, else the same as ``git``."""

    top: Path
    git: Path
    common: Path

    @classmethod
    def around(cls, folder: Path) -> Checkout | None:
        """The checkout that ``folder`` lies in; None if it lies in none, or that cannot be read."""
        resolved = folder.resolve()
        for top in (resolved, *resolved.parents):
            inner = top / ".git"
            try:
                if inner.is_dir():
                    return cls(top, inner, inner)
                if inner.is_file():
                    git = top / _line(inner).removeprefix("gitdir: ")
                    common = git / _line(git / "commondir") if (git / "commondir").is_file() else git
                    return cls(top, git, common)
            except OSError:
                return None
        return None

    def ask(self, *arguments: str) -> str:
        """Git's answer to a question about refs and settings; empty if it fails. The arguments must be of a command for
        which Git starts no program that the clone's configuration names."""
        done = run_git(*arguments, repository=self.git, timeout_s=TIMEOUT_S)
        return done.output.decode(errors="replace").strip() if done.ok else ""

    @property
    def origin(self) -> str:
        """The URL of ``origin`` in the clone's own configuration; empty if there is none."""
        return self.ask("config", "--local", "--no-includes", "--get", "remote.origin.url")

    def commit(self, name: str) -> str | None:
        """The commit of a branch or of HEAD; None if there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None

    @contextmanager
    def beside(self, *, writes: bool = False) -> Iterator[Callable[..., Completed]]:
        """A function that runs git on the files, in a repository of our own with the clone's index and objects; git's
        complaints name the clone. ``writes``: True if git may make new objects; they go into that repository."""
        with TemporaryDirectory(prefix="hostwright-") as folder:
            own = Path(folder) / "own.git"
            run_git("init", "--quiet", "--bare", "--initial-branch=none", f"{own}")
            if (head := self.commit("HEAD")) is not None:
                (own / "HEAD").write_text(f"{head}\n")
            for index in (self.git / "index", *self.git.glob("sharedindex.*")):
                _copy(index, own / index.name)
            (own / "info").mkdir(exist_ok=True)
            _copy(self.common / "info/exclude", own / "info/exclude")
            variables = {
                "GIT_DIR": f"{own}",
                "GIT_WORK_TREE": f"{self.top}",
                "GIT_INDEX_FILE": f"{own}/index",
                "GIT_OBJECT_DIRECTORY": f"{self.common}/objects",
            }
            if writes:
                clone = json.dumps(variables.pop("GIT_OBJECT_DIRECTORY"), ensure_ascii=False)
                variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = clone  # in quotes, for a colon ends a bare path

            def ask(*arguments: str, input: bytes | None = None) -> Completed:
                done = run_git(
                    *arguments,
                    input=input,
                    variables=variables,
                    cwd=self.top,
                    timeout_s=TIMEOUT_S,
                    output_limit=INDEX_LIMIT,
                )
                return done._replace(error=done.error.replace(os.fsencode(own), os.fsencode(self.git)))

            yield ask


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """The files of a checkout, by paths relative to its top. ``tracked`` files are in the next commit. ``uncommitted``
    files differ from the last commit. ``untracked`` files are neither tracked nor ignored."""

    checkout: Checkout
    tracked: frozenset[str]
    submodules: frozenset[str]
    uncommitted: tuple[str, ...]
    untracked: tuple[str, ...]
    filtered: frozenset[str]
    """The files of which the commit holds the output of one of ``FILTERS``."""

    def staged(self, path: str) -> bytes:
        """The content at ``path`` in the next commit. Raises SourceError."""
        with self.checkout.beside() as ask:
            done = ask("cat-file", "blob", f":{path}")
        if not done.ok:
            raise SourceError(f"git cannot read {path}: {done.complaint}", hint="does `git status` work there?")
        return done.output

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts of the commit that hosts leave out, besides submodules, and why."""
        return tuple(sorted(self._left_out()))

    def _left_out(self) -> Iterator[str]:
        for path in self.tracked:
            if not path.isprintable() and (why := odd_name(path)):
                yield f"{printable(path)}, whose name {why}"
            elif (self.checkout.top / path).is_symlink() and not path.startswith("dotfiles/"):
                target = os.fsdecode((self.checkout.top / path).readlink())
                if leads_out(path, target):
                    yield f"{path}, a link that leads out of the repository, to {printable(target)}"

    def ignored_by(self, path: str) -> str:
        """The line by which Git ignores ``path``, such as ``.gitignore:3``; empty if Git does not ignore it."""
        with self.checkout.beside() as ask:
            done = ask("check-ignore", "--verbose", "--", path)
        return done.output.decode(errors="replace").partition("\t")[0].rpartition(":")[0] if done.ok else ""


def working_copy(folder: Path) -> WorkingCopy | None:
    """The working copy that ``folder`` lies in; None if it lies in none. Raises SourceError if git cannot read it."""
    checkout = Checkout.around(folder)
    if checkout is None:
        return None
    top = checkout.top
    with checkout.beside() as ask:
        listed = _entries(ask("ls-files", "--stage", "-v", "-z"), top)
        # The clone's index may tell git not to look at some files. Our copy of it lets git look at all.
        hidden = b"".join(os.fsencode(_staged(line)[1]) + b"\0" for line in listed if not line.startswith("H "))
        for mark in ("assume-unchanged", "skip-worktree"):
            ask("update-index", f"--no-{mark}", "-z", "--stdin", input=hidden)
        status = _entries(
            ask("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"), top
        )
        filters = [f":(attr:filter={name})" for name in FILTERS]
        filtered = _entries(ask("ls-files", "-z", "--", *filters), top)
    staged = [_staged(line) for line in listed]
    changed = [(line[:2], line[3:]) for line in status]
    return WorkingCopy(
        checkout,
        tracked=frozenset(path for mode, path in staged if mode != _SUBMODULE),
        submodules=frozenset(path for mode, path in staged if mode == _SUBMODULE),
        uncommitted=tuple(path for how, path in changed if how != "??"),
        untracked=tuple(path for how, path in changed if how == "??"),
        filtered=frozenset(filtered),
    )


class CommittedTree(FolderTree):
    """The files of a working copy that are in the next commit, with the content that they have now."""

    def __init__(self, path: Path, copy: WorkingCopy) -> None:
        super().__init__(path)
        self._copy = copy
        above = path.resolve().relative_to(copy.checkout.top).parts
        self._above = "".join(f"{part}/" for part in above)
        size = len(self._above)
        self._tracked = {path[size:] for path in copy.tracked if path.startswith(self._above)}
        self._inner = {f"{folder}" for path in self._tracked for folder in PurePosixPath(path).parents}
        links = tuple(f"{folder}/" for folder in self._inner if (self.path / folder).is_symlink())
        self._tracked = {path for path in self._tracked if not path.startswith(links)}

    def names(self, folder: str = "") -> tuple[str, ...]:
        above = f"{folder.strip('/')}/".lstrip("/")
        return tuple(name for name in super().names(folder) if self._known(f"{above}{name}"))

    def paths(self, prefix: str = "") -> tuple[str, ...]:
        prefix = prefix.strip("/")
        if prefix in self._tracked:
            return (prefix,) if self.entry(prefix) is not None else ()
        inside = sorted(path for path in self._tracked if not prefix or path.startswith(f"{prefix}/"))
        return tuple(path for path in inside if _is_file_or_link(self.path / path))

    def stand_in(self, entry: Entry) -> StandIn | None:
        inside = f"{self._above}{entry.path}"
        if inside not in self._copy.filtered:
            return super().stand_in(entry)
        return stand_in(self._copy.staged(inside), filtered=True)

    def absence(self, path: str) -> Absence | None:
        inside = f"{self._above}{path.strip('/')}"
        module = next((module for module in self._copy.submodules if _at_or_below(inside, module)), None)
        if module is not None:
            return in_submodule(module)
        if not os.path.lexists(self._copy.checkout.top / inside):
            return None
        if any(_at_or_below(other, inside) for other in self._copy.untracked):
            return Absence("is not added to Git, so no host gets it", f"git add {quote(path)}")
        if rule := self._copy.ignored_by(inside):
            remedy = f"git add --force {quote(path)}, or change {rule}"
            return Absence(f"is ignored by Git ({rule}), so no host gets it", remedy)
        return None

    def _at(self, path: str, look: Callable[[int, str], T]) -> T | None:
        return super()._at(path, look) if path in self._tracked else None

    def _known(self, path: str) -> bool:
        return path in self._tracked or path in self._inner


def _is_file_or_link(path: Path) -> bool:
    """True if a file or a link is at ``path``, which is all that a commit takes."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _copy(source: Path, target: Path) -> None:
    """Copy an index file, if it can be read, with its times, by which git knows which files may have changed since."""
    try:
        target.write_bytes(read_bounded(source, INDEX_LIMIT))
        status = source.lstat()
    except OSError:
        return
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _staged(line: str) -> tuple[str, str]:
    """The mode and the path in a line of ``ls-files --stage -v``: mark, mode, object, stage, a tab, path."""
    return line.split(" ", 2)[1], line.partition("\t")[2]


def _entries(done: Completed, top: Path) -> list[str]:
    if not done.ok:
        raise SourceError(f"git cannot read {top}: {done.complaint}", hint="does `git status` work there?")
    return [os.fsdecode(entry) for entry in done.output.split(b"\0") if entry]


def _at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _line(file: Path) -> str:
    return os.fsdecode(read_bounded(file, 64 * 1024)).strip()
