"""meant: checks that a commit is meant for the branch that this host follows.

A signature says who made a commit, not for which branch. Whoever can push could move a branch to a colleague's signed
work that was never to run there. So the commit that moves the branch must name it (trailer ``Hostwright-Branch:
NAME``), or the host must not have seen that commit on another branch before::

    last ──── a ──── tip      tip: names this branch                          taken
                              nearest trailer of tip, a names others only     refused
                              says nothing, and was seen elsewhere before     refused (fleet.yaml: trust.branch unseen)
                              says nothing                                    refused (trust.branch named)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from agent.domain.commit import BranchRule
from agent.domain.digest import digest_of
from agent.domain.sightings import Sightings
from agent.domain.text import printable
from agent.errors import TrustError
from agent.problems import ProblemKind
from agent.steps.fetch import Followed
from agent.system.mirror import Mirror, trailers

TRAILER = "Hostwright-Branch"

_MOVE = (
    "whoever is trusted signs what moves {branch}: `git merge --no-ff -S BRANCH`, or `git commit --allow-empty -S "
    "-m 'Take BRANCH' -m '" + TRAILER + ": {branch}'`; where it was not meant, put {branch} back"
)


def require_meant(
    line: Sequence[str], *, mirror: Mirror, branch: str, rule: BranchRule, seen: Mapping[str, str]
) -> None:
    """Raise TrustError, kind ``other-branch``, if the last commit of ``line`` is not meant for ``branch``.

    ``line``: the commits after the one trusted last, oldest first, each of them signed. ``seen``: by commit, the other
    branch on which the host saw it before.
    """
    tip = line[-1]
    if branch in (named := _named(mirror, tip)):
        return
    nearest = named or next((found for sha in reversed(line[:-1]) if (found := _named(mirror, sha))), ())
    if nearest and branch not in nearest:
        why = f"is meant for {_listed(nearest)} (trailer {TRAILER})"
    elif rule is BranchRule.NAMED:
        why = f"does not say that it is meant for {branch}: fleet.yaml asks for the trailer {TRAILER}"
    elif rule is BranchRule.UNSEEN and tip in seen:
        why = f"was on the branch {printable(seen[tip], 60)} before: nobody signed that it is meant for {branch}"
    else:
        return
    raise TrustError(
        f'commit {tip[:12]} ("{mirror.commit(tip).subject}") {why}',
        kind=ProblemKind.OTHER_BRANCH,
        hint=_MOVE.format(branch=branch),
    )


def followed(settings: Followed) -> str:
    """Digest of the remote and branch that a host follows. What it saw while it followed something else does not
    count."""
    return digest_of([settings.remote, settings.branch])


def seen_before(known: Sightings | None, others: Mapping[str, str], *, in_service: bool) -> Mapping[str, str]:
    """The branch on which the host saw each commit before now, by commit. If a host in service has lost that, the
    commits that the ``others`` are at now count as seen before."""
    if known is None:
        return {sha: branch for branch, sha in others.items()} if in_service else {}
    return known.branches


def sight(known: Sightings, others: Mapping[str, str], *, mirror: Mirror, since: str | None) -> Sightings:
    """``known`` with the new commits on the ``others``: the branches that the host does not follow, and the commits
    that they are at. ``since``: the commit trusted last; its history is left out."""
    branches = {branch: sha for branch, sha in others.items() if not takes_reports(branch)}
    fresh = {branch: sha for branch, sha in branches.items() if sha not in known.branches}
    return known.after(mirror.behind(fresh, since), branches.values()) if fresh else known


def _named(mirror: Mirror, sha: str) -> tuple[str, ...]:
    raw = mirror.raw(sha)
    if TRAILER.lower().encode() not in raw.lower():
        return ()
    return tuple(value for key, value in trailers(raw) if key.lower() == TRAILER.lower())


def _listed(names: Collection[str]) -> str:
    return ", ".join(printable(name, 60) for name in names)


def takes_reports(branch: str) -> bool:
    """True for a branch that takes the hosts' reports. Nobody ever signs a commit there."""
    return branch == "status" or branch.startswith("status-")
