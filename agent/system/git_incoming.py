"""What was fetched and is not trusted yet: a repository of its own beside the mirror.

Whoever can push, and not sign, takes no more room on a host than one fetch may: what nobody trusted is gone with the
next fetch, and at once where it broke off.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system import git_remote
from agent.system.files import discard, fsync_folder, make_private_folder, read_bounded, write_atomic
from agent.system.git_command import too_large
from agent.system.git_environment import Access
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.misplaced import misplaced_folder
from agent.system.remote import Remote

TIP: Final = "refs/hostwright/tip"
"""The only ref of a mirror, at what was trusted last, and of what lies beside it, at what was fetched last."""
_SIGHTED: Final = "refs/sighted"
BRANCHES_AT_ONCE: Final = 500
COMMITS_AT_ONCE: Final = 5000
"""More than a season's work on branches that are not merged."""
TRIED_AGAIN_S: Final = 3600
"""A commit that brings more than a host takes is not asked for again before."""


def incoming_of(mirror: Path) -> Path:
    """The path of the incoming repository of a mirror."""
    return mirror.with_name(f"{mirror.name}.incoming")


def tip_of(repository: Path) -> str | None:
    """The commit that was trusted last, of a mirror, or fetched last, of what lies beside one, as far as it is known
    there; nothing is made or mended."""
    there = not misplaced_folder(repository) and repository.is_dir()
    return ObjectStore(repository).ref(TIP) if there else None


class Incoming:
    """``mirror``: the path of the mirror that it lies beside."""

    def __init__(self, mirror: Path, access: Access) -> None:
        self.path = incoming_of(mirror)
        self._mirror = mirror
        self._access = access

    def tip(self) -> str | None:
        """The commit that was fetched and is not yet trusted, its whole history here or in the mirror."""
        return tip_of(self.path)

    def fetch(self, remote: Remote, branch: str, expected: str, *, alone: bool = False) -> str:
        """The commit that ``branch`` is at, in the place of what was here. ``expected``: what it was said to be at;
        ``alone``: nothing is taken from the mirror. Raises SourceError: DamagedError or UnexplainedError unless it is
        the remote's, the network's or the disk's fault."""
        self._require_room_for(remote, expected)
        self.drop()
        incoming = ObjectStore(self.path) if alone else self.open()
        try:
            incoming.make()
            git_remote.fetch(incoming.path, remote, f"refs/heads/{branch}", TIP, self._access)
            sha = incoming.ref(TIP)
            if sha is None or incoming.header(sha) != "commit":
                raise DamagedError("what was fetched is not here")
        except BaseException as error:
            self.drop()
            if isinstance(error, SourceError) and error.kind is ProblemKind.TOO_LARGE:
                make_private_folder(self.path)
                write_atomic(self._too_large, expected.encode())
            raise
        finally:
            incoming.close()
        return sha

    def behind(self, remote: Remote, heads: Mapping[str, str], since: str | None) -> Mapping[str, str]:
        """See ``Mirror.behind``. Of many branches some come with the next call."""
        some = dict(list(heads.items())[:BRANCHES_AT_ONCE])
        work = self._mirror.with_name(f"{self._mirror.name}.sighting")
        discard(work)
        found: dict[str, str] = {}
        sighted = ObjectStore(work)
        try:
            self._make(sighted)
            if git_remote.fetch_commits(work, remote, list(some), _SIGHTED, self._access):
                excluded = (f"^{since}",) if since is not None else ()
                commits = (f"--max-count={COMMITS_AT_ONCE}", "--source", "--format=%H %S", "--all", *excluded)
                lines = (line.partition(" ") for line in sighted.lines("log", *commits))
                found = {sha: ref.removeprefix(f"{_SIGHTED}/") for sha, _, ref in lines}
        except SourceError:
            pass  # then only what the branches are at is known
        finally:
            sighted.close()
            discard(work)
        return {**found, **{sha: name for name, sha in some.items()}}

    def open(self) -> ObjectStore:
        """The repository, which knows what is in the mirror."""
        incoming = ObjectStore(self.path)
        self._make(incoming)
        return incoming

    def _make(self, store: ObjectStore) -> None:
        store.make()
        (store.path / "objects/info/alternates").write_text(f"{self._mirror}/objects\n")

    def move(self, mirror: ObjectStore) -> None:
        """Makes all of it part of the mirror. Raises OSError where that is damaged."""
        for suffix in ("pack", "rev", "idx"):  # in git's own order: a pack counts once its index is there
            for file in ObjectStore(self.path).packs.glob(f"*.{suffix}"):
                file.rename(mirror.packs / file.name)
        fsync_folder(mirror.packs)

    def drop(self) -> None:
        discard(self.path)

    def _require_room_for(self, remote: Remote, sha: str) -> None:
        """Raises SourceError where ``sha`` has lately brought more than this host takes."""
        try:
            known = read_bounded(self._too_large) == sha.encode()
            lately = abs(time.time() - self._too_large.lstat().st_mtime) < TRIED_AGAIN_S
        except OSError:
            return
        if known and lately:
            raise too_large(remote, git_remote.FETCH_MOST)

    @property
    def _too_large(self) -> Path:
        return self.path / "too-large"
