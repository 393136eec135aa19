"""The resolutions of commits for this host, remembered: to resolve a commit anew takes a hundred times as long.

The same commit, read by the same agent for the same host of the same inventory, always has the same resolution. So one
document for each commit holds the desired state and the terms, the grounds (``ResolvedFor``), and its own digest. A
document that is damaged, or that another agent wrote, counts as not there. No signature is needed: only root can write
here, and root can write the mirror and the ledger as well. No document says that its commit is trusted: ``verify``
decides that in each cycle.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.domain import codec
from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredState
from agent.domain.resolution import HostTerms, Resolution
from agent.system.files import make_private_folder, read_bounded, write_unsynced
from agent.system.misplaced import misplaced_file


@dataclass(frozen=True, slots=True)
class ResolvedFor:
    """The grounds of a resolution besides the commit. ``agent``: the digest of the code that resolves; if it is empty,
    nothing is remembered."""

    agent: str
    inventory: str
    host: str
    python: str = sys.version


@dataclass(frozen=True, slots=True)
class ResolvedState:
    """The content of a document: the resolution of a commit, and the grounds of it (``whom``)."""

    whom: ResolvedFor
    state: DesiredState
    terms: HostTerms


class ResolvedStates:
    """The documents in ``folder``. ``whom``: the present grounds. ``writes``: False without the lock."""

    def __init__(self, folder: Path, whom: ResolvedFor, *, writes: bool = True) -> None:
        self._folder = folder
        self._whom = whom
        self._writes = writes
        self._known: dict[str, ResolvedState | None] = {}

    def find(self, sha: str) -> ResolvedState | None:
        """The resolution of the commit ``sha``, trusted or not; None if it is not remembered."""
        if sha not in self._known:
            self._known[sha] = self._read(sha) if self._whom.agent else None
        return self._known[sha]

    def recall(self, commit: TrustedCommit) -> Resolution | None:
        """The resolution of a trusted commit; None if it is not remembered."""
        found = self.find(commit.sha)
        return Resolution(commit, found.state, found.terms) if found is not None else None

    def keep(self, resolution: Resolution) -> None:
        """Remember a resolution in this process and, where this may write, on the disk. Raises OSError."""
        sha, resolved = resolution.commit.sha, ResolvedState(self._whom, resolution.state, resolution.terms)
        self._known[sha] = resolved
        if self._writes and self._whom.agent:
            make_private_folder(self._folder)
            document = codec.encode(resolved, defaults=False)
            write_unsynced(self._file(sha), _digest(document) + b"\n" + document)

    def collect(self, needed: frozenset[str]) -> None:
        """Remove the documents of all commits but ``needed``."""
        for file in self._folder.iterdir() if self._folder.is_dir() else ():
            if file.name not in {f"{sha}.json" for sha in needed}:
                file.unlink()

    def _read(self, sha: str) -> ResolvedState | None:
        file = self._file(sha)
        try:
            if misplaced_file(file):
                return None
            digest, _, document = read_bounded(file).partition(b"\n")
            found = codec.decode(document, ResolvedState) if digest == _digest(document) else None
        except (OSError, ValueError):
            return None
        return found if found is not None and found.whom == self._whom and found.state.commit == sha else None

    def _file(self, sha: str) -> Path:
        return self._folder / f"{sha}.json"


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).hexdigest().encode()


def digest_of_agent() -> str:
    """The digest of the running code, as ``host.environment`` wrote it down; empty in any other environment."""
    try:
        return read_bounded(Path(sys.prefix) / ".complete", 200).decode().strip()
    except (OSError, ValueError):
        return ""
