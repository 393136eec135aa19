"""A bare repository on the disk: its objects, by GitPython, and questions about its refs and history.

Every object that is read is hashed and compared with its name: git does not do that on reading.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from agent.domain.text import printable
from agent.domain.tree import blob_id
from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system.files import make_private_folder, read_bounded, write_unsynced
from agent.system.git_command import LOCAL_TIMEOUT_S, drop_leftovers, git, git_missing, local_environment
from agent.system.git_failure import failure
from agent.system.misplaced import misplaced_folder
from agent.system.process import Completed

if TYPE_CHECKING:
    from agent.system.git_session import Session

PACKS_LIMIT: Final = 40
"""Packs before they are made one. Git's own limit is 50, because many packs make looking up objects slow."""
ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of an answer: half a million files, 1.6 million commits."""
RECENT_MOST: Final = 16
"""Objects: a commit, a tag, and the trees and files from the root to the trusted_signers of an inventory."""
RECENT_BYTES: Final = 64 * 1024
"""The most bytes of one recent object."""
_SHA: Final = re.compile(r"[0-9a-f]{40}")
_CHUNK_BYTES: Final = 1024 * 1024
_HEADER_BYTES: Final = 128
"""More bytes than cat-file writes around one object."""


class DamagedError(SourceError):
    """The repository lacks an object that it should hold, or holds other bytes in its place."""


class ObjectStore:
    """The bare repository at ``path``. ``beside``: a repository whose objects are found here too. ``owned``: False if
    it may belong to somebody else; it is then only read.

    Methods raise DamagedError, and other SourceErrors if git is missing, the disk is full or the time is over.
    """

    def __init__(self, path: Path, beside: Path | None = None, *, owned: bool = True) -> None:
        self.path = path
        self._owned = owned
        self._beside = beside
        self._session: Session | None = None
        self.recent = RecentObjects(path / "recent")

    def make(self) -> None:
        """Make the repository unless it is there."""
        if not misplaced_folder(self.path) and not self.path.exists():
            make_private_folder(self.path)
            self.ask("init", "--quiet", "--bare", "--initial-branch=none")
        self.ask("rev-parse", "--git-dir")

    def header(self, sha: str) -> str | None:
        """The type of an object; None if it is not here or cannot be read."""
        try:
            return self._described(sha)[0]
        except DamagedError:
            return None

    def size(self, sha: str) -> int:
        """The bytes of an object that is here."""
        return self._described(sha)[1]

    def _described(self, sha: str) -> tuple[str, int]:
        if (known := self.recent.find(sha)) is not None:
            return known[0], len(known[1])
        try:
            _, kind, size = self._objects().get_object_header(sha)
        except (ValueError, OSError) as error:
            self.close()
            raise DamagedError(f"{sha} cannot be read") from error
        return os.fsdecode(kind), int(size)  # typed str, but bytes

    def copy(self, sha: str, kind: str, sink: BinaryIO) -> None:
        """Write the content of an object of the type ``kind`` to ``sink``. Raises DamagedError at the end if the
        content does not match the object's name."""
        try:
            _, type_, size, stream = self._objects().stream_object_data(sha)
        except (ValueError, OSError) as error:
            self.close()
            raise DamagedError(f"{sha} cannot be read") from error
        found = os.fsdecode(type_)
        digest = hashlib.sha1(f"{found} {size}\0".encode(), usedforsecurity=False)
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
        del stream  # its finalizer reads the rest, which must happen before the pipe is closed
        if found != kind or digest.hexdigest() != sha:
            self.close()
            raise DamagedError(f"{sha} is not what it was")

    def read(self, sha: str, kind: str) -> bytes:
        known = self.recent.find(sha)
        if known is not None and known[0] == kind:
            return known[1]
        content = io.BytesIO()
        self.copy(sha, kind, content)
        self.recent.asked(sha, kind, content.getvalue())
        return content.getvalue()

    def read_blobs(self, sizes: Mapping[str, int], *, timeout_s: float = LOCAL_TIMEOUT_S) -> Mapping[str, bytes]:
        """The contents of blobs by name. ``sizes``: their bytes by name. One run of git reads them: to ask for 20,000
        one by one takes twice as long."""
        if not sizes:
            return {}
        limit = sum(size + _HEADER_BYTES for size in sizes.values())
        names = "".join(f"{sha}\n" for sha in sizes).encode()
        done = self.ask("cat-file", "--batch", input=names, output_limit=limit, timeout_s=timeout_s)
        return dict(_parsed_batch(done.output, sizes))

    def ask(
        self,
        *arguments: str,
        fine: Collection[int] = (0,),
        input: bytes | None = None,
        output_limit: int = ANSWER_LIMIT,
        timeout_s: float = LOCAL_TIMEOUT_S,
    ) -> Completed:
        """One run of git in the repository, without a remote. ``fine``: the exit statuses that are answers; any other
        raises DamagedError."""
        done = git(
            *arguments,
            repository=self._checked_path(),
            variables=self._alternates(),
            input=input,
            output_limit=output_limit,
            timeout_s=timeout_s,
        )
        if done.cut:
            limit = f"{output_limit // 1024**2} MiB"
            raise SourceError(
                f"{self.path}: git {arguments[0]} answers with more than {limit}", kind=ProblemKind.BAD_ANSWER
            )
        if done.code in fine and not done.timed_out:
            return done
        error = failure(done, f"{self.path}")
        if error.kind in (ProblemKind.DISK_FULL, ProblemKind.TIMEOUT):
            raise error
        raise DamagedError(f"git {arguments[0]}: {printable(done.complaint)}")

    def lines(self, *arguments: str) -> list[str]:
        """The lines of git's answer."""
        return self.ask(*arguments).output.decode(errors="replace").splitlines()

    def ref(self, name: str) -> str | None:
        """The commit that a ref is at; None if there is no such ref or it cannot be read."""
        try:
            with suppress(OSError):  # it is packed, or there is none
                said = read_bounded(self._checked_path() / name, 64).decode(errors="replace").strip()
                if _SHA.fullmatch(said):
                    return said
            return self.lines("rev-parse", "--quiet", "--verify", name)[0]
        except (DamagedError, IndexError):
            return None

    def point(self, name: str, sha: str) -> None:
        """Put a ref on a commit that is here."""
        self.ask("update-ref", name, sha)

    def descends(self, tip: str, ancestor: str) -> bool:
        """True if the commit ``ancestor`` is ``tip`` or in its history."""
        return tip == ancestor or self.ask("merge-base", "--is-ancestor", ancestor, tip, fine=(0, 1)).code == 0

    def tidy(self) -> None:
        """Remove the temporary files of killed fetches, and make many packs one. No object is dropped: a commit that
        was trusted once must still be known after the remote has rewritten its history."""
        drop_leftovers(self.path)
        if sum(1 for _ in self.packs.glob("*.pack")) > PACKS_LIMIT:
            self.ask("repack", "-a", "-d", "-l", "-k", "-q")
            self.close()

    @property
    def packs(self) -> Path:
        return self.path / "objects/pack"

    def close(self) -> None:
        """End the git process that reads objects; the next read starts another."""
        if self._session is not None:
            self._session.clear_cache()
            self._session = None

    def _objects(self) -> Session:
        if self._session is None:
            path = self._checked_path()
            if shutil.which("git") is None:
                raise git_missing()
            from agent.system.git_session import Session  # a process that reads no object loads no GitPython

            self._session = Session.of(path, local_environment() | self._alternates())
        return self._session

    def _checked_path(self) -> Path:
        if self._owned and (wrong := misplaced_folder(self.path)):
            raise DamagedError(f"it is {wrong}")
        return self.path

    def _alternates(self) -> dict[str, str]:
        there = self._beside is not None and not misplaced_folder(self._beside) and self._beside.is_dir()
        return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{self._beside}/objects"} if there else {}


class RecentObjects:
    """The few objects of a repository that each cycle reads, in files of ``folder``, which holds nothing else: no
    process of git is started for them. An object that is missing or damaged here is read from the repository.

    Each file is called like its object, and holds the bytes that git hashes: ``<type> SP <size> NUL <content>``. So it
    is checked against its name when it is read, like an object of the repository.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: dict[str, bytes] = {}
        self._many = False

    def find(self, sha: str) -> tuple[str, bytes] | None:
        """The type and the content of an object; None if it is not here or its file is damaged."""
        stored = self._asked.get(sha) or self._stored(sha)
        if stored is None:
            return None
        self._asked[sha] = stored
        head, _, content = stored.partition(b"\0")
        return os.fsdecode(head).partition(" ")[0], content

    def asked(self, sha: str, kind: str, content: bytes) -> None:
        """Note an object that was read from the repository."""
        self._many = self._many or len(content) > RECENT_BYTES or len(self._asked) >= RECENT_MOST
        if not self._many:
            self._asked[sha] = f"{kind} {len(content)}\0".encode() + content

    def keep(self) -> None:
        """Write the objects that were asked for since this was made to their files, and remove the other files. Nothing
        changes if there were more than RECENT_MOST, or one larger than RECENT_BYTES. Raises OSError."""
        here = {file.name for file in self._folder.iterdir()} if self._folder.is_dir() else set()
        if self._many or here == self._asked.keys():
            return
        make_private_folder(self._folder)
        for sha in self._asked.keys() - here:
            write_unsynced(self._folder / sha, self._asked[sha])
        for name in here - self._asked.keys():
            (self._folder / name).unlink()

    def _stored(self, sha: str) -> bytes | None:
        try:
            if misplaced_folder(self._folder):
                return None
            stored = read_bounded(self._folder / sha, RECENT_BYTES + 64)
        except OSError:
            return None
        return stored if hashlib.sha1(stored, usedforsecurity=False).hexdigest() == sha else None


def _parsed_batch(output: bytes, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each object in the ``output`` of git-cat-file(1), --batch: ``<name> SP <type> SP <size> LF
    <content> LF``, repeated. Raises DamagedError for an object that is missing or does not match its name."""
    start = 0
    for sha in names:
        end = output.find(b"\n", start)
        _, _, size = output[start:end].rpartition(b" ")
        if end < 0 or not size.isdigit():
            raise DamagedError(f"{sha} cannot be read")
        content, start = output[end + 1 : end + 1 + int(size)], end + int(size) + 2
        if blob_id(content) != sha:
            raise DamagedError(f"{sha} is not what it was")
        yield sha, content
