"""Git, by GitPython: remotes into commits, and commits into trees and folders, through a mirror of our own.

Questions to the mirror go through GitPython; conversations with remotes are ``git_remote``'s.

Every object that is read is hashed and compared with its name. git does not do that on reading, and what ``verify``
trusted must be what ``export`` writes, whatever became of the disk in between.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # without git, importing must not fail: we say so ourselves

from git import Git
from git.exc import GitCommandError

from agent.domain.commit import Commit
from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.system import git_remote, git_tree
from agent.system.files import discard, fsync_folder, make_private_folder
from agent.system.git_environment import Access, local_environment
from agent.system.git_remote import git_missing
from agent.system.git_tree import CommitTree
from agent.system.remote import Remote, checked_branch

__all__ = ["Access", "CommitTree", "Mirror"]

TIP: Final = "refs/hostwright/tip"
"""The only ref of a mirror: what was fetched last, so that the next fetch asks for what is new only."""
LOCAL_TIMEOUT_S: Final = 120
"""For a question to the mirror; on a busy disk a walk through a long history may take seconds."""
PACKS_LIMIT: Final = 40
"""Packs of a mirror before they are made one; below git's own limit of 50, where looking things up gets slow."""
LEFTOVER_S: Final = 900
"""Age of a half-received pack that no fetch can still be writing to."""
SUBJECT_LIMIT: Final = 120
NOT_FOUND: Final = 127
"""What env(1) ends with when there is no such program."""
_CHUNK_BYTES: Final = 1024 * 1024
_SHA: Final = re.compile(r"[0-9a-f]{40}")
_COMMITTED: Final = re.compile(rb"^committer .*> (\d{1,18}) [+-]\d+$", re.MULTILINE)

T = TypeVar("T")


class _Damaged(Exception):
    """The mirror does not hold what it should, or holds something else."""


class _Git(Git):
    """GitPython hands git the environment of this process. Ours gets what ``git_environment`` says: a cycle started
    from a hook of the very repository would otherwise work in that one."""

    def execute(self, command: Any, *arguments: Any, **options: Any) -> Any:
        variables = (f"{name}={value}" for name, value in local_environment().items())
        return super().execute(["env", "-i", *variables, *command], *arguments, **options)


class _Store:
    """A bare repository on the disk, made when it is missing. Its methods raise _Damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: _Git | None = None

    def header(self, sha: str) -> str | None:
        """The type of an object; None when it is not here, as far as can be told."""
        try:
            return os.fsdecode(self._git().get_object_header(sha)[1])  # typed str, but bytes
        except (ValueError, OSError):
            self.close()
            return None

    def copy(self, sha: str, kind: str, sink: BinaryIO) -> None:
        """Writes the content of an object to ``sink``, checked against its name when it is complete."""
        git = self._git()
        try:
            _, type_, size, stream = git.stream_object_data(sha)
        except (ValueError, OSError) as error:
            self.close()
            raise _Damaged(f"{sha} cannot be read") from error
        found = os.fsdecode(type_)
        digest = hashlib.sha1(f"{found} {size}\0".encode(), usedforsecurity=False)
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
        del stream  # its finalizer reads what is left, which must be before the pipe is closed
        if found != kind or digest.hexdigest() != sha:
            self.close()
            raise _Damaged(f"{sha} is not what it was")

    def read(self, sha: str, kind: str) -> bytes:
        content = io.BytesIO()
        self.copy(sha, kind, content)
        return content.getvalue()

    def ask(self, command: str, *arguments: str, fine: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Exit status and output of a git command."""
        options = {"with_extended_output": True, "with_exceptions": False, "kill_after_timeout": LOCAL_TIMEOUT_S}
        status, output, error = getattr(self._git(), command)(*arguments, **options)
        if status not in fine:
            raise _Damaged(f"git {command}: {printable(str(error))}")
        return status, str(output)

    def tidy(self) -> None:
        """Drops what killed fetches left, and makes many packs one. Nothing that ever was here is dropped: a commit
        trusted once must still be known when the remote has rewritten its history."""
        packs = self.path / "objects/pack"
        for left in (*packs.glob("tmp_*"), *packs.glob(".tmp-*")):
            if time.time() - left.stat().st_mtime > LEFTOVER_S:
                left.unlink(missing_ok=True)
        if sum(1 for _ in packs.glob("*.pack")) > PACKS_LIMIT:
            self.ask("repack", "-a", "-d", "-k", "-q")
            self.close()

    def make(self) -> None:
        """Makes the repository unless it is there."""
        self._git()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.clear_cache()
            self._opened = None

    def _git(self) -> _Git:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> _Git:
        try:
            if not self.path.exists():
                make_private_folder(self.path)
                _Git(self.path).init("--quiet", "--bare", "--initial-branch=none", f"{self.path}")
            git = _Git(self.path)
            git.set_persistent_git_options(git_dir=f"{self.path}")
            git.rev_parse("--git-dir")
        except GitCommandError as error:
            raise git_missing() if error.status == NOT_FOUND else _Damaged(f"{error.stderr}") from error
        return git


class Mirror:
    """A bare repository at ``path`` that holds what was fetched; made when it is missing, and anew when it is damaged.

    Reading raises SourceError: kind ``commit-missing`` for a commit that is not here, ``mirror-damaged`` for what
    cannot be read nor fetched again. A damaged mirror is cloned anew while reading, when this object fetched before.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self._access = access
        self._store = _Store(path)
        self._source: tuple[Remote, str] | None = None

    def tip(self, remote: str, branch: str) -> str:
        """The commit that ``branch`` of ``remote`` is at, by one ls-remote; the mirror is not touched.

        Raises SourceError, kinds ``source-unreachable``, ``branch-missing``, ``host-key-mismatch``,
        ``host-key-unknown``, ``auth-refused``, ``timeout``; SettingsError when remote or branch cannot be one.
        """
        return git_remote.tip(Remote.parse(remote), checked_branch(branch), self._access)

    def fetch(self, remote: str, branch: str) -> Commit:
        """The commit that ``branch`` is at, with its whole history in the mirror. Asks first, and fetches only what is
        not here. Raises like ``tip``, and SourceError, kinds ``bad-objects`` and ``disk-full``."""
        self._source = source = (Remote.parse(remote), checked_branch(branch))
        sha = git_remote.tip(*source, self._access)
        if not self.has(sha):
            try:
                sha = self._fetch_into(self._store, source)
            except _Damaged:
                sha = self._replace(source)
        return self.commit(sha)

    def fetch_commit(self, remote: Remote, sha: str, ref: str) -> None:
        """The one commit ``sha``, without its history where the server gives it like that, else with that of ``ref``
        (a name, HEAD, or a pattern). Raises like ``fetch``, and SourceError, kind ``commit-missing``."""
        try:
            self._store.make()
            if not git_remote.fetch_commit(self._store.path, remote, _checked(sha), f"{TIP}-commit", self._access):
                git_remote.fetch(self._store.path, remote, ref, f"{TIP}-refs{'/*' if '*' in ref else ''}", self._access)
        except (git_remote.UnexplainedError, _Damaged) as error:
            raise SourceError(f"{error}") from error
        if not self.has(sha):
            raise SourceError(
                f"{remote} does not have the commit {sha} any more",
                kind="commit-missing",
                hint="`hostwright lock` pins what it has now",
                consequence=Consequence.STALL,
            )

    def has(self, sha: str) -> bool:
        """Whether the commit is here."""
        try:
            return _SHA.fullmatch(sha) is not None and self._store.header(sha) == "commit"
        except _Damaged:
            return False

    def raw(self, sha: str) -> bytes:
        """The commit as git stores it: what a signature covers, and the signature."""
        if not self.has(sha):
            raise SourceError(
                f"the commit {printable(sha, 40)} is not in the repository",
                kind="commit-missing",
                hint="push it to the branch that this host follows, or name another one",
                consequence=Consequence.STALL,
            )
        return self._healing(lambda: self._store.read(sha, "commit"))

    def commit(self, sha: str) -> Commit:
        """What the commit says of itself; the subject escaped and cut to SUBJECT_LIMIT characters."""
        head, _, message = self.raw(sha).partition(b"\n\n")
        committed = _COMMITTED.search(head)
        subject = message.strip().split(b"\n", 1)[0].decode(errors="replace")
        return Commit(sha, printable(subject, SUBJECT_LIMIT), int(committed[1]) if committed else 0)

    def parents(self, sha: str) -> tuple[str, ...]:
        """The commits that ``sha`` names as its parents, the first one first."""
        return tuple(
            line.split()[1].decode()
            for line in self.raw(sha).partition(b"\n\n")[0].split(b"\n")
            if line.startswith(b"parent ")
        )

    def descends(self, tip: str, ancestor: str) -> bool:
        """Whether ``ancestor`` is ``tip`` or in its history. False when ``ancestor`` is not here: then it is not."""
        if not self.has(ancestor):
            return False
        asked = ("--is-ancestor", ancestor, _checked(tip))
        return self._healing(lambda: self._store.ask("merge-base", *asked, fine=(0, 1))[0] == 0)

    def first_parent_range(self, last: str, tip: str) -> tuple[str, ...]:
        """The commits of ``tip``'s first-parent line that are not in the history of ``last``, oldest first."""
        asked = ("--first-parent", "--reverse", _checked(tip), f"^{_checked(last)}")
        return tuple(self._healing(lambda: self._store.ask("rev-list", *asked)[1]).split())

    def tree(self, sha: str) -> CommitTree:
        """The files of a commit."""
        root = re.match(rb"tree ([0-9a-f]{40})\n", self.raw(sha))
        if root is None:
            raise SourceError(f"the commit {sha} names no tree", kind="bad-objects", consequence=Consequence.STALL)
        return CommitTree(
            root[1].decode(),
            lambda tree: self._healing(lambda: self._store.read(tree, "tree")),
            lambda blob: self._healing(lambda: self._store.read(blob, "blob")),
        )

    def export(self, sha: str, target: Path) -> None:
        """All files of a commit below the new folder ``target``; read-only, durable, whole or not there at all.

        Raises SourceError, kind ``unsafe-tree``, and SourceErrors of reading; OSError when it cannot be written.
        """
        entries = self.tree(sha).entries()

        def write() -> None:
            store = self._store
            git_tree.export(
                entries,
                lambda blob, sink: store.copy(blob, "blob", sink),
                lambda blob: store.read(blob, "blob"),
                target,
            )

        self._healing(write)

    def close(self) -> None:
        """Ends the git process that answers questions; the next question starts another."""
        self._store.close()

    def _fetch_into(self, store: _Store, source: tuple[Remote, str]) -> str:
        """Raises SourceError when it is the remote's, the network's or the disk's fault, _Damaged otherwise."""
        remote, branch = source
        store.make()
        store.tidy()
        try:
            git_remote.fetch(store.path, remote, f"refs/heads/{branch}", TIP, self._access)
        except git_remote.UnexplainedError as error:
            raise _Damaged(f"{error}") from error
        sha = store.ask("rev-parse", "--verify", TIP)[1].strip()
        if store.header(sha) != "commit":
            raise _Damaged(f"{sha} was fetched and is not here")
        return sha

    def _replace(self, source: tuple[Remote, str]) -> str:
        """A new mirror in the place of this one, which is set aside; this one stays when that fails."""
        path = self._store.path
        fresh, aside = (path.with_name(path.name + suffix) for suffix in (".new", ".damaged"))
        discard(fresh)
        store = _Store(fresh)
        try:
            sha = self._fetch_into(store, source)
        except _Damaged as damage:
            raise SourceError(f"{damage}") from damage
        finally:
            store.close()
        self._store.close()
        discard(aside)
        if path.exists():
            path.rename(aside)
        fresh.rename(path)
        fsync_folder(path.parent)
        return sha

    def _healing(self, read: Callable[[], T]) -> T:
        """``read``; when the mirror is damaged, once more from a new one."""
        try:
            return read()
        except _Damaged as damage:
            if self._source is None:
                raise _beyond_repair(self._store.path, damage) from damage
            self._replace(self._source)
        try:
            return read()
        except _Damaged as damage:
            raise _beyond_repair(self._store.path, damage) from damage


def _checked(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise SourceError(f"{printable(sha, 40)!r} is not the name of a commit", kind="commit-missing")
    return sha


def _beyond_repair(path: Path, damage: _Damaged) -> SourceError:
    return SourceError(
        f"the mirror {path} is damaged: {damage}",
        kind="mirror-damaged",
        hint="it is cloned anew as soon as the remote can be reached; is the disk failing (`dmesg`)?",
    )
