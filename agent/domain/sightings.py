"""Commits that a host saw on the other branches of its remote. No signer meant them for the branch that it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KEPT = 10_000
"""Commits that are remembered; about 700 KB. Those that branches are at now stay longest."""
NAME_LIMIT = 100
"""Characters of a branch's name; it is only shown."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """``followed``: digest of the remote and branch that the host followed when it saw them; another one begins
    afresh. ``commits``: ``<commit> <branch where it was first seen>``, the oldest first."""

    followed: str = ""
    commits: tuple[str, ...] = ()

    @property
    def branches(self) -> Mapping[str, str]:
        """By commit, the branch on which it was first seen."""
        return dict(line.split(" ", 1) for line in self.commits if " " in line)

    def after(self, found: Mapping[str, str], listed: Iterable[str]) -> Sightings:
        """With what was ``found`` now, by commit; ``listed``: what branches are at."""
        known = self.branches
        merged = {**known, **{sha: name[:NAME_LIMIT] for sha, name in found.items() if sha not in known}}
        if len(merged) > KEPT:
            now = set(listed)
            others = [sha for sha in merged if sha not in now]
            room = max(0, KEPT - (len(merged) - len(others)))
            stay = now | set(others[len(others) - room :])
            merged = {sha: name for sha, name in merged.items() if sha in stay}
        return Sightings(self.followed, tuple(f"{sha} {name}" for sha, name in merged.items())[:KEPT])
