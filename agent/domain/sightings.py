"""Commits that a host saw on the other branches of its remote. No signer meant them for the branch that it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KEPT = 10_000
"""The number of commits that are remembered, about 700 KB. The present tips of branches are forgotten last."""
NAME_LIMIT = 100
"""Characters of a branch's name; it is only shown."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """The commits that were seen. ``followed``: the digest of the remote and branch that the host followed then; when
    it follows another one, it begins with none. ``commits``: ``<commit> <branch where it was first seen>``, the oldest
    first."""

    followed: str = ""
    commits: tuple[str, ...] = ()

    @property
    def branches(self) -> Mapping[str, str]:
        """The branch on which each commit was first seen, by commit."""
        return dict(line.split(" ", 1) for line in self.commits if " " in line)

    def after(self, found: Mapping[str, str], listed: Iterable[str]) -> Sightings:
        """These sightings and those ``found`` now (commits with their branch), at most ``KEPT``. ``listed``: the
        present tips of branches, which are kept first."""
        known = self.branches
        merged = {**known, **{sha: name[:NAME_LIMIT] for sha, name in found.items() if sha not in known}}
        if len(merged) > KEPT:
            now = set(listed)
            others = [sha for sha in merged if sha not in now]
            room = max(0, KEPT - (len(merged) - len(others)))
            stay = now | set(others[len(others) - room :])
            merged = {sha: name for sha, name in merged.items() if sha in stay}
        return Sightings(self.followed, tuple(f"{sha} {name}" for sha, name in merged.items())[:KEPT])
