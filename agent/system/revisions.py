"""The commits of a person's repository, bare or with a working tree: looked up by name, and read as files.

The configuration of the repository does not count, and nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from agent.errors import SourceError, UsageError
from agent.system.git_command import git as run_git
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.git_tree import CommitTree, root_of
from agent.system.process import Completed
from agent.system.working_copy import Checkout

TIMEOUT_S: Final = 60.0
_WHOLE: Final = "is it fetched? In CI, check out with the whole history (fetch-depth: 0, GIT_DEPTH: 0)"


class Revisions:
    """The repository at ``path``: a bare one, or the ``.git`` of a clone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = ObjectStore(path, owned=False)

    @classmethod
    def around(cls, folder: Path) -> Self | None:
        """The bare repository ``folder``, or that of the clone that ``folder`` is or lies in; None if there is none."""
        if (folder / "objects").is_dir() and (folder / "HEAD").is_file():
            return cls(folder.resolve())
        checkout = Checkout.around(folder)
        return cls(checkout.git) if checkout is not None else None

    def commit(self, name: str) -> str:
        """The commit that a name stands for: a branch, a tag, ``HEAD~2``, the beginning of a sha. Raises UsageError."""
        found = self.find(name)
        if found is None:
            raise UsageError(f"{self.path} has no commit {name}", hint=_WHOLE)
        return found

    def find(self, name: str) -> str | None:
        """The commit that a name stands for; None if there is none."""
        done = self._asked("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return done.output.decode().strip() if done.ok else None

    def fork(self, one: str, other: str) -> str:
        """The newest commit that two commits have in common. Raises UsageError."""
        done = self._asked("merge-base", one, other)
        if not done.ok:
            raise UsageError(f"the commits {one[:12]} and {other[:12]} have no common history here", hint=_WHOLE)
        return done.output.decode().strip()

    def tree(self, sha: str) -> CommitTree:
        """The files of a commit. Reading raises SourceError for objects that are damaged or not here."""
        return CommitTree(root_of(sha, self._read(sha, "commit")), self._read)

    def close(self) -> None:
        """End the git process that reads objects."""
        self._store.close()

    def _read(self, sha: str, kind: str) -> bytes:
        try:
            return self._store.read(sha, kind)
        except DamagedError as error:
            raise SourceError(f"{self.path}: {error}", hint=_WHOLE) from error

    def _asked(self, *arguments: str) -> Completed:
        return run_git(*arguments, repository=self.path, timeout_s=TIMEOUT_S)
