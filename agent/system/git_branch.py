"""One branch of a remote: its files read, new commits written on top of it and pushed, without a working tree.

The repository here is a cache of one commit's objects. If anything is wrong with it, it is thrown away and fetched
again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.text import printable
from agent.errors import Consequence, ReportError, SourceError
from agent.problems import ProblemKind
from agent.system.files import discard
from agent.system.git_command import Access, bounded_fetch, converse, drop_leftovers
from agent.system.git_failure import UnexplainedError, failure
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.process import Completed
from agent.system.remote import Remote

_TIP: Final = "refs/hostwright/tip"
"""The commit that was fetched or written last."""
_REMOTE: Final = "status"
_LOOSE_LIMIT: Final = 27
"""Files in one of the 256 folders of loose objects. Git itself concludes from as many (gc.auto) that there are some
6,700 in all."""
_PACK_LIMIT: Final = 50
CACHE_MOST: Final = 256 * 1024 * 1024
"""Bytes of the cache, and of one fetch into it; the reports of 10,000 hosts take some 20 MB."""
_OWN_DAMAGE: Final = re.compile(
    rb"^(?!remote:).*(\.lock'|not a git repository:|object .* is (empty|corrupt)|bad (object|ref|shallow)|broken ref"
    rb"|missing (blob|tree|commit)|unable to (read|parse) (sha1|object|tree|commit)|unable to resolve reference"
    rb"|packfile .* (cannot|does not)|not a valid object|did not receive expected object|shallow file)",
    re.MULTILINE,
)
"""Git's messages if the cache is to blame: locks that a killed run left, damage by a loss of power."""
_BUSY: Final = re.compile(
    rb"kex_exchange_identification|connection (reset|closed) by|returned error: (429|50[0234])|try again later", re.I
)
"""The messages of servers that are busy; sshd drops connections when many begin at once (MaxStartups)."""
_RACE: Final = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "cannot lock",
    "failed to update ref",
    "incorrect old value",
    "already exists",
)
"""The reasons of servers for refusing a push because somebody else was quicker."""

_PATIENCE: Final = "check the network to the Git server; a report that was not sent waits in the spool"
_KINDS: Final = {
    ProblemKind.SOURCE_UNREACHABLE: ProblemKind.STATUS_UNREACHABLE,
    ProblemKind.AUTH_REFUSED: ProblemKind.STATUS_REFUSED,
    ProblemKind.TOO_LARGE: ProblemKind.STATUS_DAMAGED,
}
"""A report that was not sent must not look like a config repo that cannot be read."""
_WRITE_ACCESS: Final = "let this host's key write to the status repository, or set status.remote in fleet.yaml"
_HINTS: Final = {
    ProblemKind.AUTH_REFUSED: _WRITE_ACCESS,
    ProblemKind.TIMEOUT: _PATIENCE,
    ProblemKind.TOO_LARGE: "who put that there? delete the branch; every host writes its report anew",
}


@dataclass(frozen=True, slots=True)
class BranchFile:
    """One file of the branch. ``size``: bytes; None if it is no regular file, or its content is not here."""

    path: str
    object_id: str
    size: int | None


@dataclass(frozen=True, slots=True)
class NewCommit:
    """One commit to write. ``author``: the name of a host. ``at``: seconds since the epoch. ``files``: the new contents
    by path; None removes a file."""

    message: str
    author: str
    at: int
    files: Mapping[str, bytes | None]


class Contended(Exception):
    """Somebody was quicker, or the server is busy. Nothing was pushed; a later try may succeed."""


@dataclass(frozen=True, slots=True)
class Branch:
    """``branch`` of ``remote``, cached in the bare repository ``folder``, until ``deadline`` (``time.monotonic()``).

    ``filter`` names the objects that the server is asked to leave out, as in ``blob:none``; a server that knows no
    filters sends everything. Git never fetches objects that were left out one by one, because the remote is a promisor
    for the command fetch alone.

    Methods raise ReportError if the remote refuses, cannot be reached or is too slow; DamagedError if the cache was to
    blame, which is then removed; and Contended.
    """

    folder: Path
    remote: Remote
    access: Access
    branch: str
    filter: str
    deadline: float

    def is_at(self, commit: str) -> bool:
        """True if ``commit`` was fetched or written last."""
        with self._explained() as store:
            self._prepare(store)
            return store.ref(_TIP) == commit

    def fetch(self) -> str | None:
        """The commit at the tip, whose trees and unfiltered blobs are in the cache now; None if there is no branch."""
        with self._explained() as store:
            self._prepare(store)
            done = bounded_fetch(
                *(self.folder, self.remote, self.access),
                *("-c", f"remote.{_REMOTE}.promisor=true", "-c", f"remote.{_REMOTE}.partialclonefilter={self.filter}"),
                *("-c", f"remote.{_REMOTE}.url={self.remote}"),
                # One malformed object must not silence a fleet, and no file is ever written by the names in here.
                *("-c", "fetch.fsckObjects=false"),
                *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", f"--filter={self.filter}"),
                *(_REMOTE, f"+refs/heads/{self.branch}:{_TIP}"),
                most=CACHE_MOST,
                timeout_s=self._left(),
            )
            if not done.ok and b"find remote ref" in done.error:
                store.ask("update-ref", "-d", _TIP, timeout_s=self._left())
                return None
            self._require_remote(done)
            return store.ref(f"{_TIP}^{{commit}}")

    def files(self, commit: str | None, folder: str) -> tuple[BranchFile, ...]:
        """All files below ``folder`` in ``commit``, sorted by path; none if ``commit`` is None."""
        if commit is None:
            return ()
        asked = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", folder)
        with self._explained() as store:
            listed = store.ask(*asked, timeout_s=self._left()).output
        found = []
        for entry in listed.split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            mode, _, object_id, size = about.split()
            regular = mode.startswith(b"100") and size.isdigit()
            name = path.decode(errors="backslashreplace")
            found.append(BranchFile(name, object_id.decode(), int(size) if regular else None))
        return tuple(found)

    def contents(self, files: Iterable[BranchFile]) -> Mapping[str, bytes]:
        """The contents of ``files`` by path, with one run of git; files without a size are left out."""
        wanted = {file.path: file for file in files if file.size is not None}
        sizes = {file.object_id: file.size or 0 for file in wanted.values()}
        with self._explained() as store:
            blobs = store.read_blobs(sizes, timeout_s=self._left())
        return {path: blobs[file.object_id] for path, file in wanted.items()}

    def write(self, parent: str | None, commits: Sequence[NewCommit]) -> str:
        """The name of the last of ``commits``, written in order on top of ``parent``; None begins a new history."""
        stream = b"feature done\n"
        for number, commit in enumerate(commits):
            who = f"{commit.author} <{commit.author}@hostwright.invalid> {commit.at} +0000"
            stream += f"commit {_TIP}\ncommitter {who}\n".encode() + _data(commit.message.encode())
            if number == 0 and parent is not None:
                stream += f"from {parent}\n".encode()
            for path, content in commit.files.items():
                if content is None:
                    stream += f"D {path}\n".encode()
                else:
                    stream += f"M 100644 inline {path}\n".encode() + _data(content)
        stream += b"done\n"
        with self._explained() as store:
            asked = ("fast-import", "--quiet", "--force", "--date-format=raw")
            store.ask(*asked, input=stream, timeout_s=self._left())
            return store.lines("rev-parse", "--verify", _TIP)[0]

    def push(self, commit: str) -> None:
        """Make ``commit`` the tip of the remote's branch, if its history contains the tip there. Raises Contended if it
        does not."""
        with self._explained():
            done = converse(
                *(self.remote, self.access),
                *("-c", f"remote.{_REMOTE}.url={self.remote}", "push", "--porcelain", "--no-thin", "--no-verify"),
                *(_REMOTE, f"{commit}:refs/heads/{self.branch}"),
                repository=self.folder,
                timeout_s=self._left(),
            )
            if not done.ok:
                self._require_accepted(done)

    def _require_accepted(self, done: Completed) -> None:
        refused = re.search(rb"^!\t[^\t]*\t\[(?:remote )?rejected\] \((.*)\)$", done.output, re.MULTILINE)
        if refused is None:
            self._require_remote(done)
            return
        reason = printable(refused[1].decode(errors="replace"))
        if any(word in reason for word in _RACE):
            raise Contended(reason)
        said = [
            line.removeprefix(b"remote: ").strip() for line in done.error.splitlines() if line.startswith(b"remote: ")
        ]
        words = printable(b"; ".join(line for line in said if line).decode(errors="replace"))
        raise ReportError(
            f"{self.remote}: the branch {self.branch} does not take reports: {reason}{': ' if words else ''}{words}",
            hint=_WRITE_ACCESS,
            kind=ProblemKind.STATUS_REFUSED,
        )

    def _prepare(self, store: ObjectStore) -> None:
        """Make an empty repository if there is none, or if the old one has grown too large."""
        packs = self.folder / "objects/pack"
        grown = _count(self.folder / "objects/17") > _LOOSE_LIMIT or _count(packs) > 3 * _PACK_LIMIT
        if packs.is_dir():
            drop_leftovers(self.folder)
        if not packs.is_dir() or grown or _size(packs) > CACHE_MOST:
            discard(self.folder)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            store.make()

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> SourceError:
        return SourceError(f"{self.remote}: not done in time", kind=ProblemKind.TIMEOUT)

    @contextmanager
    def _explained(self) -> Iterator[ObjectStore]:
        """The cache. An error of git inside is raised as one of those that the class names."""
        try:
            yield ObjectStore(self.folder)
        except DamagedError:
            discard(self.folder)
            raise
        except SourceError as error:
            unknown = isinstance(error, UnexplainedError) and error.kind is not ProblemKind.TRANSFER_DAMAGED
            hint = _PATIENCE if unknown else _HINTS.get(error.kind, error.hint)
            kind = _KINDS.get(error.kind, error.kind)
            later = Consequence.RETRY if error.kind is ProblemKind.TOO_LARGE else error.consequence
            raise ReportError(error.message, hint=hint, kind=kind, consequence=later) from error

    def _require_remote(self, done: Completed) -> None:
        if done.ok:
            return
        if done.timed_out:
            raise self._late()
        if _OWN_DAMAGE.search(done.error):
            raise DamagedError(printable(done.complaint))
        if _BUSY.search(done.error):
            raise Contended(printable(done.complaint))
        raise failure(done, self.remote, self.access)


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.iterdir()) if folder.is_dir() else 0
