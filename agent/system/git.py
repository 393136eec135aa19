"""Git: remotes into commits, and commits into trees and folders, through a mirror of our own.

``git_objects`` answers questions to the mirror, ``git_remote`` talks to remotes.

Every object that is read is hashed and compared with its name: what ``verify`` trusted must be what ``export`` writes,
whatever became of the disk in between.
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
from agent.system.git_environment import Access, network_environment
from agent.system.git_failure import UnexplainedError
from agent.system.git_incoming import TIP, Incoming
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.git_tree import CommitTree, root_of
from agent.system.remote import Remote, checked_branch

__all__ = ["Access", "CommitTree", "Mirror"]

OBJECT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a commit or tag; the longest messages that people write have some thousands."""
SUBJECT_LIMIT: Final = 120
_SHA: Final = re.compile(r"[0-9a-f]{40}")

T = TypeVar("T")


class Mirror:
    """A bare repository at ``path`` that holds what was trusted; made when it is missing, and anew when it is damaged.

    What was fetched lies in a second one beside it (``Incoming``) until ``keep`` says that it is trusted. Both are read
    as one.

    Reading raises SourceError: kind ``commit-missing`` for a commit that is not here, ``mirror-damaged`` for what
    cannot be read nor fetched again. A damaged mirror is cloned anew while reading, when this object knows from where.
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
        ``host-key-unknown``, ``auth-refused``, ``timeout``; SettingsError when remote or branch cannot be one.
        """
        return git_remote.offer(Remote.parse(remote), checked_branch(branch), self._access).tip

    def asking(self, remote: str, *, tags: bool) -> tuple[list[str], dict[str, str], int]:
        """The command by which the daemon asks what ``fetch`` asks, its environment, and after how many seconds it is
        given up. Raises SettingsError when that cannot be a remote, or for a key that others may have seen."""
        there = Remote.parse(remote)
        argv = ["git", *git_remote.listing(there, tags=tags)]
        return argv, network_environment(self._access, there, often=True), self._access.timeout_s

    def follow(self, remote: str, branch: str) -> None:
        """Set the remote from which a damaged mirror is cloned anew while reading; ``fetch`` sets it too. Raises
        SettingsError when remote or branch cannot be one."""
        self._source = (Remote.parse(remote), checked_branch(branch))

    def fetch(self, remote: str, branch: str, *, tags: bool = False) -> Commit:
        """The commit that ``branch`` is at, with its whole history here. Asks first, and fetches only what is not here.
        Says what the other branches are at, and with ``tags`` what tags the remote offers; ``bring`` fetches them.
        Raises like ``tip``, and SourceError, kinds ``bad-objects``, ``disk-full`` and ``too-large``."""
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
        """Makes ``sha``, which was fetched and is trusted, and all that came with it part of the mirror."""
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
        """Fetches the objects of annotated tags that are not here, from where was fetched last. Raises like ``fetch``;
        a tag that has gone from the remote meanwhile is simply not here."""
        missing = [tag.name for tag in tags if tag.annotated and self._store.header(tag.object) is None]
        if missing and self._source is not None:
            git_remote.fetch_tags(self._incoming.open().path, self._source[0], missing, self._access)

    def fetch_commit(self, remote: Remote, sha: str, ref: str) -> None:
        """The one commit ``sha``, without its history where the server gives it like that, else with that of ``ref``
        (a name, HEAD, or a pattern). Raises like ``fetch``, and SourceError, kind ``commit-missing``."""
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
        """By commit, the branch through which it is reached, for what branches of the remote (``heads``, by name) are
        at and for what is behind that, but not in the history of ``since``. The commits are fetched without files, as
        far as that is cheap, and thrown away; where it is not, only what the branches are at is told."""
        return self._incoming.behind(self._source[0], heads, since) if self._source is not None else {}

    def has(self, sha: str) -> bool:
        """True if the commit is here."""
        return _SHA.fullmatch(sha) is not None and self._store.header(sha) == "commit"

    def beginning(self, digits: str) -> Sequence[str]:
        """The commits here whose names begin with these hex digits, at least four."""
        return [sha for sha in self._store.lines("rev-parse", f"--disambiguate={digits}") if self.has(sha)]

    def raw(self, sha: str) -> bytes:
        """The commit as git stores it: what a signature covers, and the signature."""
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
        """An annotated tag as git stores it; None when there is no such tag here that could be read."""
        try:
            if self._store.header(sha) != "tag" or self._store.size(sha) > OBJECT_LIMIT:
                return None
            return self._store.read(sha, "tag")
        except DamagedError:
            return None

    def commit(self, sha: str) -> Commit:
        """A commit with its subject, escaped and cut to SUBJECT_LIMIT characters."""
        _, _, message = self.raw(sha).partition(b"\n\n")
        subject = message.strip().split(b"\n", 1)[0].decode(errors="replace")
        return Commit(sha, printable(subject, SUBJECT_LIMIT))

    def descends(self, tip: str, ancestor: str) -> bool:
        """True if ``ancestor`` is ``tip`` or in its history; False also when ``ancestor`` is not here."""
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
        """All files of a commit below the new folder ``target``; read-only, durable, whole or not there at all. Links
        that lead out are left out: code that is run there would follow them; ``outward``: they are made as well.

        Raises SourceError, kind ``unsafe-tree``, and SourceErrors of reading; OSError when it cannot be written.
        """
        tree = self.tree(sha)
        self._healing(lambda: tree.export(self._store, target, outward=outward))

    def keep_recent(self) -> None:
        """Keeps the few objects that were asked for at hand: the next cycle asks for the same. Raises OSError."""
        if self._store.path.is_dir():
            self._store.recent.keep()

    def close(self) -> None:
        """Ends the git process that answers questions; the next question starts another."""
        self._store.close()

    def _fetch(self, source: tuple[Remote, str], expected: str) -> str:
        """Raises like ``Incoming.fetch``."""
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
        """A new mirror in the place of this one, which is set aside; this one stays when that fails."""
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
        """``read``; when the mirror is damaged, once more from a new one."""
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
