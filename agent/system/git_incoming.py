"""The incoming repository: commits that were fetched and are not trusted yet, beside the mirror.

People who can push, but not sign, cannot fill a host's disk with more than one fetch: the next fetch first removes
all that is not trusted, and a fetch that breaks off removes it at once.
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
from agent.system.git_command import Access, too_large
from agent.system.git_objects import DamagedError, ObjectStore
from agent.system.misplaced import misplaced_folder
from agent.system.remote import Remote

TIP: Final = "refs/hostwright/tip"
"""The only ref: in a mirror the commit that was trusted last, in an incoming repository the one that was fetched
last."""
_SIGHTED: Final = "refs/sighted"
BRANCHES_AT_ONCE: Final = 500
COMMITS_AT_ONCE: Final = 5000
"""More commits than people make in a season on branches that are not merged."""
TRIED_AGAIN_S: Final = 3600
"""Seconds before a commit that was too large is fetched again."""


def incoming_of(mirror: Path) -> Path:
    """The path of the incoming repository of a mirror."""
    return mirror.with_name(f"{mirror.name}.incoming")


def tip_of(repository: Path) -> str | None:
    """The commit at TIP of a mirror or an incoming repository; None if there is no such commit or repository. Nothing
    is made or mended."""
    there = not misplaced_folder(repository) and repository.is_dir()
    return ObjectStore(repository).ref(TIP) if there else None


class Incoming:
    """The incoming repository beside ``mirror``, the path of a mirror."""

    def __init__(self, mirror: Path, access: Access) -> None:
        self.path = incoming_of(mirror)
        self._mirror = mirror
        self._access = access

    def tip(self) -> str | None:
        """The commit that was fetched and is not trusted yet; None if there is none. Its whole history is here or in
        the mirror."""
        return tip_of(self.path)

    def fetch(self, remote: Remote, branch: str, expected: str, *, alone: bool = False) -> str:
        """The commit that ``branch`` is at, fetched in the place of all that was here. ``expected``: the commit that
        the remote listed. ``alone``: fetch the whole history, whatever the mirror has. Raises SourceError: DamagedError
        or UnexplainedError unless the remote, the network or the disk is surely to blame."""
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
        """The same as ``Mirror.behind``, for BRANCHES_AT_ONCE of the branches in ``heads``."""
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
            pass  # then the result holds only the commits that the branches are at
        finally:
            sighted.close()
            discard(work)
        return {**found, **{sha: name for name, sha in some.items()}}

    def open(self) -> ObjectStore:
        """The repository, made if it is missing, in which git finds the objects of the mirror too."""
        incoming = ObjectStore(self.path)
        self._make(incoming)
        return incoming

    def _make(self, store: ObjectStore) -> None:
        store.make()
        (store.path / "objects/info/alternates").write_text(f"{self._mirror}/objects\n")

    def move(self, mirror: ObjectStore) -> None:
        """Make all packs part of ``mirror``. Raises OSError if the mirror is damaged."""
        for suffix in ("pack", "rev", "idx"):  # in git's own order: git sees a pack once its index is there
            for file in ObjectStore(self.path).packs.glob(f"*.{suffix}"):
                file.rename(mirror.packs / file.name)
        fsync_folder(mirror.packs)

    def drop(self) -> None:
        discard(self.path)

    def _require_room_for(self, remote: Remote, sha: str) -> None:
        """Raise SourceError if a fetch of ``sha`` was too large within the last TRIED_AGAIN_S seconds."""
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
