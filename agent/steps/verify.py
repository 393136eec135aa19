"""verify: turns a ``Commit`` into a ``TrustedCommit``, or refuses it; before anything of it is exported.

History only ever grows: the commit must descend from the last one that was trusted. Then each commit since is judged,
oldest first, by the keys of those who could sign when it was made::

    last ──── a ──── b ──── tip        a: anchors and trusted_signers of last
      (trusted)                        b: anchors and trusted_signers of a
                                       tip: anchors and trusted_signers of b

The walk follows first parents: whoever signs a merge vouches for what it merges. A commit of the walk that does not
descend from ``last`` (somebody merged the remote into an older branch of theirs) brings no keys of its own: its
trusted_signers may still name who has been removed since.

The commit that moves the branch must be meant for it (``meant``).

Where tags are accepted, the newest commit of that walk is taken that has a trusted tag, by the anchors and
trusted_signers of ``last``. The tag vouches for it and for all between.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from agent.domain.commit import Accept, Accepts, Commit, Signer, Tag, TrustedCommit, TrustMode
from agent.domain.memory import TrustRecord
from agent.errors import InventoryError, TrustError
from agent.problems import ProblemKind
from agent.steps.meant import require_meant
from agent.steps.signatures import NEVER_TRUSTED, SignatureVerifier, moved, read_anchors
from agent.system import openssh
from agent.system.mirror import Mirror


def verify(
    commit: Commit,
    *,
    mirror: Mirror,
    inventory: str,
    mode: TrustMode,
    record: TrustRecord,
    accepts: Accepts,
    min_commit: str | None,
    anchors: Path,
    now: int,
    branch: str = "",
    seen: Mapping[str, str] = MappingProxyType({}),
) -> TrustedCommit:
    """The newest commit that this host may act on: ``commit``, where tags are accepted one before it, or else the
    commit trusted last.

    ``record``: what was trusted last. Without that the anchors must vouch for ``min_commit`` (the commit that the host
    was told to begin with), or without one for ``commit`` itself. ``anchors``: a file in allowed_signers format.
    ``now``: the host's clock, in seconds since the epoch; the dates that commits say are not looked at. ``branch``: the
    one that the host follows (empty: whichever). ``seen``: by commit, the other branch on which the host saw it before.

    Raises TrustError, kinds ``trust-lost``, ``history-rewritten``, ``min-commit``, ``no-anchors``, ``unsigned``,
    ``pgp-signature``, ``bad-signature``, ``expired-key``, ``wrong-signer``, ``tag-moved``, ``bad-tag``,
    ``other-branch``; where several things were refused, for the newest.
    """
    if record.lost:
        raise TrustError(
            "this host has been in service, and what it trusted last is lost: an older history would look like a newer",
            kind=ProblemKind.TRUST_LOST,
            hint="who removed it? is the branch as you want it? then run `hostwright trust reset` on the host",
        )
    _require_history(commit, mirror, record.last, min_commit)
    judge = SignatureVerifier(mirror, inventory, None if mode is TrustMode.UNSIGNED else _anchors(anchors), now)
    if record.last is not None:
        start = _in_force(record, record.last, judge)
    else:
        first = mirror.commit(min_commit or commit.sha)
        start = TrustedCommit(first.sha, first.subject, judge.commit(first.sha, after=None))
    line = mirror.first_parent_range(start.sha, commit.sha)
    accept = accepts(start.sha)
    asks = mode is TrustMode.SIGNED and bool(branch)
    if asks and record.last is None and min_commit is None:
        require_meant((start.sha,), mirror=mirror, branch=branch, rule=accept.branch, seen={})
    refused: list[TrustError] = []
    if accept.commits and line:
        try:
            signer = judge.line(start.sha, line)
            if asks:
                require_meant(line, mirror=mirror, branch=branch, rule=accept.branch, seen=seen)
            return TrustedCommit(commit.sha, commit.subject, signer)
        except TrustError as error:
            refused.append(error)
    tags = [tag for tag in commit.tags if accept.takes(tag.name)]
    for sha in reversed(line):
        for tag in (tag for tag in tags if tag.commit == sha):
            try:
                signer = judge.tag(tag, after=start.sha, trusted=record.tags)
                return TrustedCommit(sha, mirror.commit(sha).subject, signer, tag)
            except TrustError as error:
                refused.append(error)
    known = ((tag, record.tags.get(tag.name, tag.commit)) for tag in tags)
    refused += [moved(tag, before) for tag, before in known if before != tag.commit]
    if refused:
        raise refused[0]
    return start


def accepted(mirror: Mirror, inventory: str, remembered: Accept, since: str | None) -> Accept:
    """The rule for commits behind ``since``: what may vouch for one, itself or a tag, and which branch it has to name.
    It stands in fleet.yaml (``trust:``) of ``since``.

    Return the default rule, any signed commit, without ``since`` or ``inventory``. Return ``remembered`` if the mirror
    has no such commit, or its fleet.yaml cannot be read.
    """
    if since is None or not inventory:
        return Accept()
    if not mirror.has(since):
        return remembered
    from agent.inventory.fleet import read_fleet  # late: the reader of YAML takes longer to load than all else here

    try:
        return read_fleet(mirror.tree(since), inventory).trust.accepts
    except InventoryError:
        return remembered


def recall(sha: str, *, mirror: Mirror, last: str) -> TrustedCommit:
    """A commit that was trusted earlier: ``last``, or one in its history. Raises TrustError, kind ``untrusted``."""
    if not mirror.descends(last, sha):
        raise TrustError(
            f"the commit {sha[:12]} is not in the history of {last[:12]}, the commit trusted last",
            hint="name a commit of the branch that this host follows",
        )
    commit = mirror.commit(sha)
    return TrustedCommit(commit.sha, commit.subject, None)


def recall_last(record: TrustRecord, last: str, *, mirror: Mirror) -> TrustedCommit:
    """The commit trusted ``last``, and who vouched for it then. Raises SourceError where it is not here any more."""
    commit = mirror.commit(last)
    signer = Signer(record.principal, record.fingerprint) if record.fingerprint else None
    tag = Tag(record.tag, record.tag_object, last) if record.tag_object else None
    return TrustedCommit(commit.sha, commit.subject, signer, tag)


def _in_force(record: TrustRecord, last: str, judge: SignatureVerifier) -> TrustedCommit:
    """The commit trusted last. Raises TrustError for one that was only trusted while the host asked for no signatures.
    A key that has gone since is for ``freeze`` to judge."""
    found = recall_last(record, last, mirror=judge.mirror)
    note = ""
    try:
        signer = judge.in_force(record, last) or found.signer
    except TrustError as error:
        if error.kind in NEVER_TRUSTED:
            raise
        signer, note = found.signer, error.message if error.kind is ProblemKind.EXPIRED_KEY else ""
    return TrustedCommit(found.sha, found.subject, signer, found.tag, note)


def _require_history(commit: Commit, mirror: Mirror, last: str | None, min_commit: str | None) -> None:
    if last is not None and not mirror.descends(commit.sha, last):
        raise TrustError(
            f'the branch was rewritten: commit {commit.sha[:12]} ("{commit.subject}") does not descend from '
            f"{last[:12]}, the commit trusted last",
            kind=ProblemKind.HISTORY_REWRITTEN,
            hint=f"push a branch that holds {last[:12]} again and undo with `git revert`; where the new history is "
            "meant, run `hostwright trust reset` on the host",
        )
    if last is None and min_commit is not None and not mirror.descends(commit.sha, min_commit):
        raise TrustError(
            f'commit {commit.sha[:12]} ("{commit.subject}") does not descend from {min_commit[:12]}, the oldest commit '
            "that this host was told to accept",
            kind=ProblemKind.MIN_COMMIT,
            hint="is the remote up to date, and the right one? --min-commit of bootstrap says what to begin with",
        )


def _anchors(path: Path) -> bytes:
    anchors = read_anchors(path)
    if not openssh.names_a_signer(anchors):
        raise TrustError(
            f"{path} names nobody who may sign commits",
            kind=ProblemKind.NO_ANCHORS,
            hint="put the administrators' keys there (allowed_signers, see ssh-keygen(1)), or bootstrap with "
            "`--trust unsigned` if whoever can push is to be root here",
        )
    return anchors
