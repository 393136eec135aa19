"""collect_garbage: removes the files of other repositories that no commit needs any more."""

from __future__ import annotations

from agent.domain.commit import TrustedCommit
from agent.errors import InventoryError, SourceError
from agent.host.repositories import Repositories
from agent.host.state import Memory
from agent.inventory.complaint import Complaints
from agent.inventory.lock import read_lock
from agent.inventory.source import open_source
from agent.system.git import Mirror


def collect_garbage(
    trusted: TrustedCommit | None, *, memory: Memory, mirror: Mirror, inventory: str, repositories: Repositories
) -> None:
    """Keeps what lock.yaml pins in the commit that is trusted, aimed at, applied or good, and everything while one of
    them cannot be read. Raises OSError."""
    if not repositories.any:
        return
    needed: set[str] = set()
    applied = memory.applied()
    commits = (trusted.sha if trusted else None, memory.state().aimed_commit, applied.commit, applied.good_commit)
    for sha in dict.fromkeys(commits):
        try:
            if sha is not None:
                lock = read_lock(open_source(mirror.tree(sha), inventory), Complaints())
                needed.update(pin.tree for pin in lock.repositories.values())
        except InventoryError:
            continue  # it has no such inventory, so it pins nothing
        except SourceError:
            return
    repositories.collect(frozenset(needed))
