"""The mirror of a config repo: commits fetched from a remote, read as trees, and written to folders.

``git_objects`` reads the mirror, ``git_remote`` talks to remotes.

Every object that is read is hashed and compared with its name: ``export`` must write what ``verify`` trusted, also if
the disk was damaged in between.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from agent.domain.commit import Commit, Tag
from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system import git_remote
from agent.system.files import discard, fsync_folder
from agent.system.git_command import Access, git, network_environment
from agent.system.git_failure import UnexplainedError
from agent.system.git_incoming import TIP, Incoming
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.git_tree import CommitTree, root_of
from agent.system.remote import Remote, checked_branch

OBJECT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a commit or tag; the longest messages that people write have some thousands of bytes."""
SUBJECT_LIMIT: Final = 120
_SHA: Final = re.compile(r"[0-9a-f]{40}")

T = TypeVar("T")


class Mirror:
    """A bare repository at ``path`` that holds trusted commits; made if it is missing, and anew if it is damaged.

    Commits that were fetched lie in a second repository beside it (``Incoming``) until ``keep`` is called for one of
    them. Both repositories are read as one.

    Methods that read raise SourceError: kind ``commit-missing`` for a commit that is not here, ``mirror-damaged`` for
    an object that can neither be read nor fetched again. If ``fetch`` or ``follow`` has named a remote, they clone a
    damaged mirror anew from it.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self._access = access
        self._incoming = Incoming(path, access)
        self._store = ObjectStore(path, beside=self._incoming.path)
        self._source: tuple[Remote, str] | None = None

    @property
    def path(self) -> Path:
        return self._store.path

    def tip(self, remote: str, branch: str) -> str:
        """The commit that ``branch`` of ``remote`` is at, by one ls-remote; the mirror is not touched.

        Raises SourceError, kinds ``source-unreachable``, ``branch-missing``, ``host-key-mismatch``,
        ``host-key-unknown``, ``auth-refused``, ``timeout``; SettingsError for an invalid remote or branch.
        """
        return git_remote.offer(Remote.parse(remote), checked_branch(branch), self._access).tip

    def asking(self, remote: str, *, tags: bool) -> tuple[list[str], dict[str, str], int]:
        """The command that lists the refs of ``remote`` for the daemon, as ``fetch`` lists them; its environment; its
        time limit in seconds. Raises SettingsError for an invalid remote, or for a key that others may have seen."""
        there = Remote.parse(remote)
        argv = ["git", *git_remote.listing(there, tags=tags)]
        return argv, network_environment(self._access, there, often=True), self._access.timeout_s

    def follow(self, remote: str, branch: str) -> None:
        """Set the remote and branch from which a damaged mirror is cloned anew; ``fetch`` sets them too. Raises
        SettingsError for an invalid remote or branch."""
        self._source = (Remote.parse(remote), checked_branch(branch))

    def fetch(self, remote: str, branch: str, *, tags: bool = False) -> Commit:
        """The commit that ``branch`` is at; it and its whole history are here afterwards. It lists the commits of the
        other branches, and with ``tags`` the remote's tags, whose objects ``bring`` fetches. Nothing is fetched if the
        commit is here already. Raises like ``tip``, and SourceError, kinds ``bad-objects``, ``disk-full`` and
        ``too-large``."""
        self._source = source = (Remote.parse(remote), checked_branch(branch))
        offer = git_remote.offer(*source, self._access, tags=tags)
        sha = offer.tip
        if self.has(sha) and self._store.ref(TIP) == sha:
            self._drop_incoming()
        elif not self.has(sha) or self._incoming.tip() != sha:
            try:
                sha = self._fetch(source, sha)
            except (DamagedError, UnexplainedError):
                sha = self._replace(source, sha)
        return replace(self.commit(sha), others=offer.others, tags=offer.tags, listed=offer.listed)

    def keep(self, sha: str) -> None:
        """Make the fetched commit ``sha``, which is trusted now, and all that was fetched with it part of the mirror.
        Raises SourceError, OSError."""
        if self._incoming.tip() is None or self._store.ref(TIP) == sha:
            return
        try:
            self._take_in(sha)
        except (DamagedError, NotADirectoryError, FileNotFoundError) as damage:
            if self._source is None:
                raise _beyond_repair(self._store.path, damage) from damage
            self._replace(self._source)
            self._take_in(sha)

    def bring(self, tags: Sequence[Tag]) -> None:
        """Fetch the objects of annotated ``tags`` that are not here, from the remote of the last ``fetch`` or
        ``follow``. A tag that the remote no longer has is passed over. Raises like ``fetch``."""
        missing = [tag.name for tag in tags if tag.annotated and self._store.header(tag.object) is None]
        if missing and self._source is not None:
            git_remote.fetch_tags(self._incoming.open().path, self._source[0], missing, self._access)

    def fetch_commit(self, remote: Remote, sha: str, ref: str) -> None:
        """Fetch the commit ``sha`` alone; if the server does not give it alone, with the whole history of ``ref`` (a
        name, HEAD, or a pattern). Raises like ``fetch``, and SourceError, kind ``commit-missing``."""
        self._store.make()
        if not git_remote.fetch_commit(self._store.path, remote, _checked(sha), f"{TIP}-commit", self._access):
            git_remote.fetch(self._store.path, remote, ref, f"{TIP}-refs{'/*' if '*' in ref else ''}", self._access)
        if not self.has(sha):
            raise SourceError(
                f"{remote} does not have the commit {sha} any more",
                kind=ProblemKind.COMMIT_MISSING,
                hint="`hostwright lock` in the config repo pins what it has now",
                consequence=Consequence.STALL,
            )

    def behind(self, heads: Mapping[str, str], since: str | None) -> Mapping[str, str]:
        """The commits of the remote's branches that are not in the history of ``since``, each with the name of a branch
        that has it. ``heads``: the commits that the branches are at, by name. The commits are fetched without files,
        and thrown away afterwards; if that fails, the result holds only ``heads``. Empty if no remote is known."""
        return self._incoming.behind(self._source[0], heads, since) if self._source is not None else {}

    def has(self, sha: str) -> bool:
        """True if the commit is here."""
        return _SHA.fullmatch(sha) is not None and self._store.header(sha) == "commit"

    def beginning(self, digits: str) -> Sequence[str]:
        """The commits here whose names begin with ``digits``: at least four hex digits."""
        return [sha for sha in self._store.lines("rev-parse", f"--disambiguate={digits}") if self.has(sha)]

    def raw(self, sha: str) -> bytes:
        """The commit ``sha`` as git stores it: the text that a signature covers, and the signature. Raises SourceError,
        kind ``bad-objects`` for a commit larger than OBJECT_LIMIT."""
        if not self.has(sha):
            raise SourceError(
                f"the commit {printable(sha, 40)} is not in the repository",
                kind=ProblemKind.COMMIT_MISSING,
                hint="push it to the branch that this host follows, or name another one",
                consequence=Consequence.STALL,
            )
        if self._healing(lambda: self._store.size(sha)) > OBJECT_LIMIT:
            raise SourceError(
                f"the commit {sha[:12]} is larger than {OBJECT_LIMIT} bytes",
                kind=ProblemKind.BAD_OBJECTS,
                hint="find out who made it, and take it off the branch",
                consequence=Consequence.STALL,
            )
        return self._read(sha, "commit")

    def tag(self, sha: str) -> bytes | None:
        """An annotated tag as git stores it; None if it is not here, cannot be read, or is larger than OBJECT_LIMIT."""
        try:
            if self._store.header(sha) != "tag" or self._store.size(sha) > OBJECT_LIMIT:
                return None
            return self._store.read(sha, "tag")
        except DamagedError:
            return None

    def commit(self, sha: str) -> Commit:
        """The commit ``sha`` with its subject, escaped and cut to SUBJECT_LIMIT characters."""
        _, _, message = self.raw(sha).partition(b"\n\n")
        subject = message.strip().split(b"\n", 1)[0].decode(errors="replace")
        return Commit(sha, printable(subject, SUBJECT_LIMIT))

    def descends(self, tip: str, ancestor: str) -> bool:
        """True if ``ancestor`` is ``tip`` or in its history; False also if ``ancestor`` is not here."""
        if not self.has(ancestor):
            return False
        _checked(tip)
        return self._healing(lambda: self._store.descends(tip, ancestor))

    def first_parent_range(self, last: str, tip: str) -> tuple[str, ...]:
        """The commits of ``tip``'s first-parent line that are not in the history of ``last``, oldest first."""
        if last == tip:
            return ()
        asked = ("--first-parent", "--reverse", _checked(tip), f"^{_checked(last)}")
        return tuple(self._healing(lambda: self._store.lines("rev-list", *asked)))

    def tree(self, sha: str) -> CommitTree:
        """The files of a commit."""
        return CommitTree(root_of(sha, self.raw(sha)), self._read)

    def export(self, sha: str, target: Path, *, outward: bool = False) -> None:
        """Write all files of a commit below the new folder ``target``: read-only, durable, all or none. Links that lead
        out of it are left out, because code that runs there would follow them; with ``outward`` they are made as well.

        Raises SourceError, kind ``unsafe-tree``, and SourceErrors of reading; OSError if it cannot be written.
        """
        tree = self.tree(sha)
        self._healing(lambda: tree.export(self._store, target, outward=outward))

    def keep_recent(self) -> None:
        """Keep the few objects that were read in files beside the mirror, for the next cycle. Raises OSError."""
        if self._store.path.is_dir():
            self._store.recent.keep()

    def close(self) -> None:
        """End the git process that reads objects; the next read starts another."""
        self._store.close()

    def _fetch(self, source: tuple[Remote, str], expected: str) -> str:
        """The commit that the branch of ``source`` is at, fetched into ``Incoming``. Raises like ``Incoming.fetch``."""
        self._store.make()
        self._store.close()
        self._store.tidy()
        sha = self._incoming.fetch(*source, expected)
        self._store.close()
        return sha

    def _take_in(self, sha: str) -> None:
        self._incoming.move(self._store)
        self._drop_incoming()
        self._store.point(TIP, sha)

    def _drop_incoming(self) -> None:
        self._store.close()
        self._incoming.drop()

    def _replace(self, source: tuple[Remote, str], expected: str = "") -> str:
        """The commit that the branch of ``source`` is at, fetched beside a new, empty mirror. The damaged one is set
        aside; it stays in its place if the fetch fails. Raises like ``Incoming.fetch``."""
        path = self._store.path
        sha = self._incoming.fetch(*source, expected, alone=True)
        self._store.close()
        aside = path.with_name(f"{path.name}.damaged")
        discard(aside)
        if os.path.lexists(path):
            path.rename(aside)
        self._store.make()
        fsync_folder(path.parent)
        return sha

    def _read(self, sha: str, kind: str) -> bytes:
        return self._healing(lambda: self._store.read(sha, kind))

    def _healing(self, read: Callable[[], T]) -> T:
        """The result of ``read``. If the mirror is damaged, a new one is fetched, and ``read`` is called again. Raises
        SourceError."""
        try:
            return read()
        except DamagedError as damage:
            if self._source is None:
                raise _beyond_repair(self._store.path, damage) from damage
            self._replace(self._source)
        try:
            return read()
        except DamagedError as damage:
            raise _beyond_repair(self._store.path, damage) from damage


def trailers(commit: bytes) -> tuple[tuple[str, str], ...]:
    """The trailers of a commit as git stores it: the keys and values of the ``Key: value`` lines at the end of its
    message, in order, by git-interpret-trailers(1). Empty if git fails."""
    message = commit.partition(b"\n\n")[2]
    if b":" not in message.rstrip().rpartition(b"\n\n")[2]:
        return ()
    done = git("interpret-trailers", "--parse", "--no-divider", input=message)
    lines = (line.partition(":") for line in done.output.decode(errors="replace").splitlines() if done.ok)
    return tuple((key.strip(), value.strip()) for key, _, value in lines)


def _checked(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise SourceError(f"{printable(sha, 40)!r} is not the name of a commit", kind=ProblemKind.COMMIT_MISSING)
    return sha


def _beyond_repair(path: Path, damage: Exception) -> SourceError:
    return SourceError(
        f"the mirror {path} is damaged: {damage}",
        kind=ProblemKind.MIRROR_DAMAGED,
        hint="it is cloned anew as soon as the remote can be reached; is the disk failing (`dmesg`)?",
    )
