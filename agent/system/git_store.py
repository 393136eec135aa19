"""A bare repository on the disk, by GitPython: objects by their names, and questions to git about them.

Every object that is read is hashed and compared with its name: git does not do that on reading.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # without git, importing must not fail: we say so ourselves

from git import Git
from git.exc import GitCommandError

from agent.domain.text import printable
from agent.system.files import make_private_folder
from agent.system.git_environment import local_environment
from agent.system.git_leftovers import drop_leftovers
from agent.system.git_remote import git_missing
from agent.system.misplaced import misplaced_folder

LOCAL_TIMEOUT_S: Final = 120
"""For a question to the repository; on a busy disk a walk through a long history may take seconds."""
PACKS_LIMIT: Final = 40
"""Packs before they are made one; below git's own limit of 50, where looking things up gets slow."""
NOT_FOUND: Final = 127
"""What env(1) ends with when there is no such program."""
_CHUNK_BYTES: Final = 1024 * 1024


class DamagedError(Exception):
    """The mirror does not hold what it should, or holds something else."""


class _Git(Git):
    """GitPython hands git the environment of this process. Ours gets what ``git_environment`` says: a cycle started
    from a hook of the very repository would otherwise work in that one."""

    further: dict[str, str]

    def execute(self, command: Any, *arguments: Any, **options: Any) -> Any:
        variables = (f"{name}={value}" for name, value in (local_environment() | self.further).items())
        return super().execute(["env", "-i", *variables, *command], *arguments, **options)


class Store:
    """A bare repository on the disk, made when it is missing. What is in the repository ``beside`` is found here too.
    Methods raise DamagedError."""

    def __init__(self, path: Path, beside: Path | None = None) -> None:
        self.path = path
        self._beside = beside
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
            raise DamagedError(f"{sha} cannot be read") from error
        found = os.fsdecode(type_)
        digest = hashlib.sha1(f"{found} {size}\0".encode(), usedforsecurity=False)
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
        del stream  # its finalizer reads what is left, which must be before the pipe is closed
        if found != kind or digest.hexdigest() != sha:
            self.close()
            raise DamagedError(f"{sha} is not what it was")

    def size(self, sha: str) -> int:
        """Of an object that is here, in bytes."""
        try:
            return int(self._git().get_object_header(sha)[2])
        except (ValueError, OSError) as error:
            self.close()
            raise DamagedError(f"{sha} cannot be read") from error

    def read(self, sha: str, kind: str) -> bytes:
        content = io.BytesIO()
        self.copy(sha, kind, content)
        return content.getvalue()

    def ask(self, command: str, *arguments: str, fine: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Exit status and output of a git command."""
        options = {"with_extended_output": True, "with_exceptions": False, "kill_after_timeout": LOCAL_TIMEOUT_S}
        status, output, error = getattr(self._git(), command)(*arguments, **options)
        if status not in fine:
            raise DamagedError(f"git {command}: {printable(str(error))}")
        return status, str(output)

    def tidy(self) -> None:
        """Drops what killed fetches left, and makes many packs one. Nothing that ever was here is dropped: a commit
        trusted once must still be known when the remote has rewritten its history."""
        drop_leftovers(self.path)
        if sum(1 for _ in self.packs.glob("*.pack")) > PACKS_LIMIT:
            self.ask("repack", "-a", "-d", "-l", "-k", "-q")
            self.close()

    @property
    def packs(self) -> Path:
        return self.path / "objects/pack"

    def ref(self, name: str) -> str | None:
        """The commit that a ref is at; None where there is no such ref, as far as can be told."""
        try:
            return self.ask("rev-parse", "--quiet", "--verify", name, fine=(0, 1))[1].strip() or None
        except DamagedError:
            return None

    def point(self, name: str, sha: str) -> None:
        """Puts a ref on a commit that is here."""
        self.ask("update-ref", name, sha)

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
            if wrong := misplaced_folder(self.path):
                raise DamagedError(f"it is {wrong}")
            if not self.path.exists():
                make_private_folder(self.path)
                self._new().init("--quiet", "--bare", "--initial-branch=none", f"{self.path}")
            git = self._new()
            git.set_persistent_git_options(git_dir=f"{self.path}")
            git.rev_parse("--git-dir")
        except GitCommandError as error:
            raise git_missing() if error.status == NOT_FOUND else DamagedError(f"{error.stderr}") from error
        return git

    def _new(self) -> _Git:
        git = _Git(self.path)
        there = self._beside is not None and not misplaced_folder(self._beside) and self._beside.is_dir()
        git.further = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{self._beside}/objects"} if there else {}
        return git
