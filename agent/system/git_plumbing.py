"""One branch of a remote as values: its files read, commits written on top of it, pushed; never a working tree.

GitPython has no part in this: each public method is one or two runs of git's own plumbing, with a time limit. The
repository is a cache of one commit's objects. Whatever is wrong with it, it is thrown away and fetched again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.text import printable
from agent.errors import ReportError
from agent.problems import ProblemKind
from agent.system.files import discard
from agent.system.git_environment import memory_limit, room
from agent.system.git_failure import known_failure
from agent.system.git_leftovers import drop_leftovers
from agent.system.process import OUTPUT_LIMIT, Completed, run

_TIP: Final = "refs/hostwright/tip"
_OUT: Final = "refs/hostwright/out"
_REMOTE: Final = "status"
_LOOSE_LIMIT: Final = 27
"""Files in one of 256 folders of loose objects; git's own sign (gc.auto) that there are some 6,700 in all."""
_PACK_LIMIT: Final = 50
CACHE_MOST: Final = 256 * 1024 * 1024
"""Bytes of the cache, and of one fetch into it; the reports of 10,000 hosts have some 20 MB."""
_OWN_DAMAGE: Final = re.compile(
    rb"^(?!remote:).*(\.lock'|not a git repository:|object .* is (empty|corrupt)|bad (object|ref|shallow)|broken ref"
    rb"|missing (blob|tree|commit)|unable to (read|parse) (sha1|object|tree|commit)|unable to resolve reference"
    rb"|packfile .* (cannot|does not)|not a valid object|did not receive expected object|shallow file)",
    re.MULTILINE,
)
"""What git says when the cache is to blame: locks left by a killed run, what a power loss made of it."""
_BUSY: Final = re.compile(
    rb"kex_exchange_identification|connection (reset|closed) by|returned error: (429|50[0234])|try again later", re.I
)
"""How servers say that they have no room now; sshd drops connections when many begin at once (MaxStartups)."""
_RACE: Final = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "cannot lock",
    "failed to update ref",
    "incorrect old value",
    "already exists",
)
"""How servers say that somebody else was quicker."""

_LISTING_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a listing: half a million files."""
_HEADER_LIMIT: Final = 128
"""Bytes of what cat-file writes around one object, generously."""
_PATIENCE: Final = "check the network to the Git server; a report that was not sent waits in the spool"
_KINDS: Final = {
    ProblemKind.SOURCE_UNREACHABLE: ProblemKind.STATUS_UNREACHABLE,
    ProblemKind.AUTH_REFUSED: ProblemKind.STATUS_REFUSED,
}
"""A report that was not sent must not look like a config repo that cannot be read."""
_WRITE_ACCESS: Final = "let this host's key write to the status repository, or set status.remote in fleet.yaml"


@dataclass(frozen=True, slots=True)
class BranchFile:
    """One file of the branch. ``size`` in bytes; None for what is no regular file, or is not here."""

    path: str
    object_id: str
    size: int | None


@dataclass(frozen=True, slots=True)
class NewCommit:
    """One commit to write: what it says, who (a host's name) and when, and the files that it sets or, None, removes."""

    message: str
    author: str
    at: int
    files: Mapping[str, bytes | None]


class Contended(Exception):
    """Somebody was quicker, or the server has no room for us now: nothing was written, try again after a while."""


class CacheDamaged(Exception):
    """The local repository is to blame; it has been thrown away, try again."""


@dataclass(frozen=True, slots=True)
class Branch:
    """``branch`` of ``remote`` (URL or path), cached in the bare repository ``folder``.

    ``environment`` is all that git sees: it carries how to authenticate. ``filter`` is what the server is asked to
    leave out (``blob:none``; a server that does not know filters sends everything); what was left out is never
    fetched one by one: for all commands but fetch the remote is not a promisor.

    Methods raise ReportError (the remote refuses or cannot be reached), CacheDamaged and Contended.
    """

    folder: Path
    remote: str
    branch: str
    environment: Mapping[str, str]
    filter: str

    def fetch(self, deadline: float) -> str | None:
        """The commit at the tip, its trees and unfiltered blobs now in the cache; None when there is no such branch.

        ``deadline`` is a time of ``time.monotonic()``, here and below.
        """
        self._prepare(deadline)
        limit = min(CACHE_MOST, room(self.folder))
        done = self._git(
            *("-c", f"remote.{_REMOTE}.promisor=true", "-c", f"remote.{_REMOTE}.partialclonefilter={self.filter}"),
            *("-c", f"remote.{_REMOTE}.url={self.remote}", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
            # Nothing of this is ever written to files by name, and one malformed object must not silence a fleet.
            *("-c", "fetch.fsckObjects=false"),
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", f"--filter={self.filter}"),
            *(_REMOTE, f"+refs/heads/{self.branch}:{_TIP}"),
            deadline=deadline,
            file_limit=limit,
        )
        broken_off = not done.ok and drop_leftovers(self.folder) >= limit
        if broken_off and limit < CACHE_MOST:
            raise ReportError(
                f"{self.remote}: the branch {self.branch} holds more than half of what is free here",
                hint="make room below /var/lib/hostwright",
                kind=ProblemKind.DISK_FULL,
            )
        if broken_off:
            raise ReportError(
                f"{self.remote}: the branch {self.branch} holds more than {limit // 1024**2} MiB",
                hint="who put that there? delete the branch; every host writes its report anew",
                kind=ProblemKind.STATUS_DAMAGED,
            )
        if not done.ok and b"find remote ref" in done.error:
            self._local("update-ref", "-d", _TIP, deadline=deadline)
            return None
        self._require_remote(done)
        return self._local("rev-parse", "--verify", f"{_TIP}^{{commit}}", deadline=deadline).output.decode().strip()

    def files(self, commit: str, folder: str, deadline: float) -> tuple[BranchFile, ...]:
        """All files below ``folder``, sorted by path."""
        argv = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", folder)
        listed = self._local(*argv, deadline=deadline, output_limit=_LISTING_LIMIT).output
        if len(listed) >= _LISTING_LIMIT:
            raise ReportError(f"{self.remote}: the branch {self.branch} holds too many files to read")
        found = []
        for entry in listed.split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            mode, _, object_id, size = about.split()
            regular = mode.startswith(b"100") and size.isdigit()
            name = path.decode(errors="backslashreplace")
            found.append(BranchFile(name, object_id.decode(), int(size) if regular else None))
        return tuple(found)

    def contents(self, files: Iterable[BranchFile], deadline: float) -> Mapping[str, bytes]:
        """The content of files of known size, by path; one run of git for all of them."""
        wanted = [file for file in files if file.size is not None]
        if not wanted:
            return {}
        done = self._local(
            *("cat-file", "--batch"),
            input="".join(f"{file.object_id}\n" for file in wanted).encode(),
            deadline=deadline,
            output_limit=sum((file.size or 0) + _HEADER_LIMIT for file in wanted),
        )
        found: dict[str, bytes] = {}
        start = 0
        for file in wanted:
            header_end = done.output.index(b"\n", start)
            size = int(done.output[start:header_end].split()[2])
            found[file.path] = done.output[header_end + 1 : header_end + 1 + size]
            start = header_end + size + 2
        return found

    def write(self, parent: str | None, commits: Sequence[NewCommit], deadline: float) -> str:
        """Commits on top of ``parent`` (None: the first of a new history), in order; the last one's name."""
        stream = b"feature done\n"
        for number, commit in enumerate(commits):
            who = f"{commit.author} <{commit.author}@hostwright.invalid> {commit.at} +0000"
            stream += f"commit {_OUT}\ncommitter {who}\n".encode() + _data(commit.message.encode())
            if number == 0 and parent is not None:
                stream += f"from {parent}\n".encode()
            for path, content in commit.files.items():
                if content is None:
                    stream += f"D {path}\n".encode()
                else:
                    stream += f"M 100644 inline {path}\n".encode() + _data(content)
        stream += b"done\n"
        self._local("fast-import", "--quiet", "--force", "--date-format=raw", input=stream, deadline=deadline)
        return self._local("rev-parse", "--verify", _OUT, deadline=deadline).output.decode().strip()

    def push(self, commit: str, deadline: float) -> None:
        """Makes ``commit`` the tip, provided that its history continues the tip there: git's compare-and-swap."""
        done = self._git(
            *("-c", f"remote.{_REMOTE}.url={self.remote}", "push", "--porcelain", "--no-thin", "--no-verify"),
            *(_REMOTE, f"{commit}:refs/heads/{self.branch}"),
            deadline=deadline,
        )
        if done.ok:
            return
        refused = re.search(rb"^!\t[^\t]*\t\[(?:remote )?rejected\] \((.*)\)$", done.output, re.MULTILINE)
        if refused is None:
            self._require_remote(done)
            raise ReportError(f"{self.remote}: push failed: {printable(done.complaint)}", hint=_WRITE_ACCESS)
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

    def _prepare(self, deadline: float) -> None:
        """An empty repository where there is none, or where the old one has grown enough."""
        loose, packs = self.folder / "objects" / "17", self.folder / "objects" / "pack"
        grown = _count(loose) > _LOOSE_LIMIT or _count(packs) > 3 * _PACK_LIMIT or _size(packs) > CACHE_MOST
        if not packs.is_dir() or grown:
            discard(self.folder)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._local("init", "--quiet", "--bare", "--template=", "--initial-branch=none", deadline=deadline)

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.environment, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

    def _git(
        self,
        *argv: str,
        deadline: float,
        input: bytes | None = None,
        output_limit: int = OUTPUT_LIMIT,
        file_limit: int | None = None,
    ) -> Completed:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ReportError(f"{self.remote}: not done in time", hint=_PATIENCE, kind=ProblemKind.TIMEOUT)
        command = ("git", f"--git-dir={self.folder}", *argv)
        try:
            done = run(
                command,
                env=self._environment,
                input=input,
                timeout_s=left,
                cwd=Path("/"),
                output_limit=output_limit,
                memory_limit=memory_limit(),
                file_limit=file_limit,
            )
        except FileNotFoundError as error:
            raise ReportError(
                "git cannot be started", hint="install the package `git`", kind=ProblemKind.GIT_MISSING
            ) from error
        if done.timed_out:
            drop_leftovers(self.folder)
            raise ReportError(
                f"{self.remote}: git {_verb(argv)} was not done in time", hint=_PATIENCE, kind=ProblemKind.TIMEOUT
            )
        return done

    def _local(
        self, *argv: str, deadline: float, input: bytes | None = None, output_limit: int = OUTPUT_LIMIT
    ) -> Completed:
        """A command that no remote has a part in: when it fails, the disk is full or the cache no good."""
        done = self._git(*argv, deadline=deadline, input=input, output_limit=output_limit)
        if done.ok:
            return done
        known = known_failure(done, f"{self.folder}", 0)
        if known is not None and known.kind is ProblemKind.DISK_FULL:
            raise ReportError(known.message, hint=known.hint, kind=known.kind)
        raise self._damaged(done)

    def _require_remote(self, done: Completed) -> None:
        if done.ok:
            return
        if _OWN_DAMAGE.search(done.error):
            raise self._damaged(done)
        if _BUSY.search(done.error):
            raise Contended(printable(done.complaint))
        known = known_failure(done, self.remote, 0, self.environment)
        if known is None:
            raise ReportError(
                f"{self.remote}: {printable(done.complaint)}", hint=_PATIENCE, kind=ProblemKind.STATUS_UNREACHABLE
            )
        hint = _WRITE_ACCESS if known.kind is ProblemKind.AUTH_REFUSED else known.hint
        kind = _KINDS.get(known.kind, known.kind)
        raise ReportError(known.message, hint=hint, kind=kind, consequence=known.consequence)

    def _damaged(self, done: Completed) -> CacheDamaged:
        discard(self.folder)
        return CacheDamaged(printable(done.complaint))


def blob_id(content: bytes) -> str:
    """The name that git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.iterdir()) if folder.is_dir() else 0


def _verb(argv: Sequence[str]) -> str:
    """The git command among options that come before it."""
    return next(word for word in ("fetch", "push", argv[0]) if word in argv)
