"""Turns a ``Commit`` into a ``TrustedCommit``, or refuses it; before anything of it is exported.

History only ever grows: the commit must descend from the last one that was trusted. Then each commit since is judged,
oldest first, by those who could sign when it was made::

    last ──── a ──── b ──── tip        a: anchors and trusted_signers of last
      (trusted)                        b: anchors and trusted_signers of a
                                       tip: anchors and trusted_signers of b

The walk follows first parents: whoever signs a merge vouches for what it merges. A commit of the walk that does not
descend from ``last`` (somebody merged the remote into an older branch of theirs) brings no keys of its own: its
trusted_signers may still name who has been removed since.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent.domain.commit import Commit, Signer, TrustedCommit, TrustMode
from agent.errors import TrustError
from agent.system import openssh
from agent.system.files import read_bounded
from agent.system.git import Mirror
from agent.system.openssh import RefusedSignatureError

_SIGN_AGAIN: Final = (
    "no host has taken it: sign it again (`git rebase --exec 'git commit --amend --no-edit --allow-empty -S' {base}`) "
    "and push with --force-with-lease"
)
_HINTS: Final = {
    "unsigned": _SIGN_AGAIN + "; `git config commit.gpgSign true` for the next ones",
    "pgp-signature": "`git config gpg.format ssh`, set user.signingKey, then: " + _SIGN_AGAIN,
    "bad-signature": "find out how it came about; if it was an accident: " + _SIGN_AGAIN,
    "expired-key": "whoever is still trusted renews the key in {signers}, or: " + _SIGN_AGAIN,
    "wrong-signer": "whoever is trusted adds the key to {signers} first, or: " + _SIGN_AGAIN,
}
_NEVER_TRUSTED: Final = ("unsigned", "pgp-signature", "bad-signature")
"""What cannot have been trusted as signed; what is left are keys that have gone since."""


def verify(
    commit: Commit,
    *,
    mirror: Mirror,
    inventory: str,
    mode: TrustMode,
    last: str | None,
    min_commit: str | None,
    anchors: Path,
    now: int,
) -> TrustedCommit:
    """``commit`` when this host may act on it.

    ``last`` is the commit trusted last; without one, ``min_commit`` (the commit that the host was told to begin with)
    takes its place once the anchors vouch for it, or else they vouch for ``commit`` itself. ``anchors`` is a file in
    allowed_signers format. ``now`` is the host's clock; what a commit says of its date is not looked at.

    Raises TrustError, kinds ``history-rewritten``, ``min-commit``, ``no-anchors``, ``unsigned``, ``pgp-signature``,
    ``bad-signature``, ``expired-key``, ``wrong-signer``.
    """
    _require_history(commit, mirror, last, min_commit)
    if mode is TrustMode.UNSIGNED:
        return TrustedCommit(commit.sha, commit.subject, None)
    judge = _Judge(mirror, inventory, _anchors(anchors), now)
    signer: Signer | None
    if last is not None:
        signer = judge.in_force(commit.sha) if commit.sha == last else judge.since(last, commit.sha)
    else:
        first = min_commit or commit.sha
        signer = judge.signer(first, after=None)
        if first != commit.sha:
            signer = judge.since(first, commit.sha)
    return TrustedCommit(commit.sha, commit.subject, signer)


def recall(sha: str, *, mirror: Mirror, last: str) -> TrustedCommit:
    """A commit that was trusted earlier: ``last``, or one in its history. Raises TrustError, kind ``untrusted``."""
    if not mirror.descends(last, sha):
        raise TrustError(
            f"the commit {sha[:12]} is not in the history of {last[:12]}, the commit trusted last",
            hint="name a commit of the branch that this host follows",
        )
    commit = mirror.commit(sha)
    return TrustedCommit(commit.sha, commit.subject, None)


class _Judge:
    """Who signed a commit, by the keys that count for it."""

    def __init__(self, mirror: Mirror, inventory: str, anchors: bytes, now: int) -> None:
        self._mirror = mirror
        self._signers = f"inventories/{inventory}/trusted_signers"
        self._anchors = anchors
        self._now = now

    def signer(self, sha: str, *, after: str | None) -> Signer:
        """Who signed, by the anchors and the trusted signers of the commit ``after``; without one, by the anchors."""
        try:
            return openssh.signer_of(self._mirror.raw(sha), self._keys(after), now=self._now)
        except RefusedSignatureError as refused:
            commit = self._mirror.commit(sha)
            hint = _HINTS[refused.kind].format(base=after[:12] if after else "--root", signers=self._signers)
            message = f'commit {sha[:12]} ("{commit.subject}") {refused}'
            raise TrustError(message, kind=refused.kind, hint=hint) from refused

    def since(self, start: str, tip: str) -> Signer:
        """Who signed ``tip``, when every commit between is signed as it must be."""
        keys, signer = start, None
        for sha in self._mirror.first_parent_range(start, tip):
            signer = self.signer(sha, after=keys)
            if self._mirror.descends(sha, start):
                keys = sha
        assert signer is not None, "the tip is in the range of its own"
        return signer

    def in_force(self, sha: str) -> Signer | None:
        """Who signed the commit that is trusted already, as far as the key still counts. Raises TrustError for one that
        was only trusted while the host asked for no signatures."""
        parents = self._mirror.parents(sha)
        try:
            return self.signer(sha, after=parents[0] if parents else None)
        except TrustError as error:
            if error.kind in _NEVER_TRUSTED:
                raise
            return None

    def _keys(self, after: str | None) -> bytes:
        if after is None:
            return self._anchors
        try:
            return openssh.allowed_signers((self._anchors, self._mirror.tree(after).read(self._signers)))
        except KeyError:
            return self._anchors


def _require_history(commit: Commit, mirror: Mirror, last: str | None, min_commit: str | None) -> None:
    if last is not None and not mirror.descends(commit.sha, last):
        raise TrustError(
            f'the branch was rewritten: commit {commit.sha[:12]} ("{commit.subject}") does not descend from '
            f"{last[:12]}, the commit trusted last",
            kind="history-rewritten",
            hint=f"push a branch that holds {last[:12]} again and undo with `git revert`; where the new history is "
            "meant, run `hostwright trust reset` on the host",
        )
    if last is None and min_commit is not None and not mirror.descends(commit.sha, min_commit):
        raise TrustError(
            f'commit {commit.sha[:12]} ("{commit.subject}") does not descend from {min_commit[:12]}, the oldest commit '
            "that this host was told to accept",
            kind="min-commit",
            hint="is the remote up to date, and the right one? --min-commit of bootstrap says what to begin with",
        )


def _anchors(path: Path) -> bytes:
    try:
        anchors = read_bounded(path)
    except FileNotFoundError:
        anchors = b""
    if not openssh.names_a_signer(anchors):
        raise TrustError(
            f"{path} names nobody who may sign commits",
            kind="no-anchors",
            hint="put the administrators' keys there (allowed_signers, see ssh-keygen(1)), or bootstrap with "
            "`--trust unsigned` if whoever can push is to be root here",
        )
    return anchors
