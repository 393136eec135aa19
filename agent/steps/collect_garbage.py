"""collect_garbage: removes the files of other repositories that no commit needs any more."""

from __future__ import annotations

from agent.domain.commit import TrustedCommit
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedStates
from agent.host.state import Memory


def collect_garbage(
    trusted: TrustedCommit | None, *, memory: Memory, resolved: ResolvedStates, repositories: Repositories
) -> None:
    """Remove the files of other repositories that no needed commit pins in its lock.yaml. Raises OSError.

    Needed are the commits that are trusted, aimed at, applied or good. If the resolved state of one of them is not
    kept, nothing is removed: nobody knows what that commit pins.
    """
    if not repositories.any:
        return
    needed: set[str] = set()
    applied = memory.applied()
    commits = {trusted.sha if trusted else None, memory.state().aimed_commit, applied.commit, applied.good_commit}
    for sha in commits - {None}:
        found = resolved.find(f"{sha}")
        if found is None:
            return
        needed.update(found.terms.kept)
    repositories.collect(frozenset(needed))
