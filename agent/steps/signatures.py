"""signatures: finds out who vouches for a commit, by the keys that count for it.

Those keys are the anchors of the host, and the trusted_signers of a commit that the host trusts already. A commit is
vouched for by its own signature, or by that of a tag on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.commit import Signer, Tag
from agent.domain.memory import TrustRecord
from agent.domain.text import printable
from agent.errors import TrustError
from agent.problems import ProblemKind
from agent.system import openssh
from agent.system.files import read_bounded
from agent.system.mirror import Mirror
from agent.system.misplaced import misplaced_file
from agent.system.openssh import RefusedSignatureError, SignedText

NEVER_TRUSTED: Final = (ProblemKind.UNSIGNED, ProblemKind.PGP_SIGNATURE, ProblemKind.BAD_SIGNATURE)
"""Refusals of a commit that cannot have been trusted as signed. In all others a key has gone since."""

_SIGN_AGAIN: Final = (
    "no host has taken it: sign it again (`git rebase --exec 'git commit --amend --no-edit --allow-empty -S' {base}`) "
    "and push with --force-with-lease"
)
_TAG_AGAIN: Final = "tag it again: `git tag -s -m {name} {name}` with a name that was never used, and push that"
_HINTS: Final = {
    ProblemKind.UNSIGNED: "{again}; `git config {option} true` for the next ones",
    ProblemKind.PGP_SIGNATURE: "`git config gpg.format ssh`, set user.signingKey, then: {again}",
    ProblemKind.BAD_SIGNATURE: "find out how it came about; if it was an accident: {again}",
    ProblemKind.EXPIRED_KEY: "whoever is still trusted renews the key in {signers}, or: {again}",
    ProblemKind.WRONG_SIGNER: "whoever is trusted adds the key to {signers} first, or: {again}",
}
_TAG: Final = re.compile(rb"object ([0-9a-f]{40})\ntype (\w+)\ntag ([^\n]*)\n")
"""gitformat: the first lines of a tag object."""


@dataclass(frozen=True, slots=True)
class SignatureVerifier:
    """The judge of signatures, by the keys of this host and of the commits that it trusts.

    ``anchors``: a file in allowed_signers format; None on a host that asks for no signatures: then no signer is named.
    ``now``: the host's clock, in seconds since the epoch; the dates that commits say are not looked at.

    Methods raise TrustError, with the kinds of ``openssh.RefusedSignatureError``.
    """

    mirror: Mirror
    inventory: str
    anchors: bytes | None
    now: int

    def commit(self, sha: str, *, after: str | None) -> Signer | None:
        """The signer, by the anchors and the trusted signers of the commit ``after``; without one, by the anchors
        alone."""
        if self.anchors is None:
            return None
        try:
            text = openssh.split(self.mirror.raw(sha))
            return openssh.signer_of(text, self._keys(after), now=self.now)
        except RefusedSignatureError as refused:
            again = _SIGN_AGAIN.format(base=after[:12] if after else "--root")
            what = f'commit {sha[:12]} ("{self.mirror.commit(sha).subject}")'
            raise self._refusal(what, refused, again, "commit.gpgSign") from refused

    def line(self, start: str, line: Sequence[str]) -> Signer | None:
        """The signer of the last commit of ``line``, if each is signed by somebody who could sign when it was made. The
        oldest comes first; it follows ``start``."""
        if self.anchors is None:
            return None
        keys, signer = start, None
        for sha in line:
            signer = self.commit(sha, after=keys)
            if self.mirror.descends(sha, start):
                keys = sha
        return signer

    def tag(self, tag: Tag, *, after: str, trusted: Mapping[str, str]) -> Signer | None:
        """The signer of the tag, by the anchors and the trusted signers of ``after``. ``trusted``: the commits of the
        tags that were trusted before, by name. Raises TrustError, kinds ``tag-moved`` and ``bad-tag`` too."""
        name = printable(tag.name, 60)
        what = f"tag {name} (commit {tag.commit[:12]})"
        again = _TAG_AGAIN.format(name=name)
        if tag.name in trusted and trusted[tag.name] != tag.commit:
            raise moved(tag, trusted[tag.name])
        if not tag.annotated:
            reason = RefusedSignatureError(
                ProblemKind.UNSIGNED, "is lightweight: there is nothing that could be signed"
            )
            raise self._refusal(what, reason, again, "tag.gpgSign")
        raw = self.mirror.tag(tag.object)
        head = _TAG.match(raw) if raw is not None else None
        if raw is None or head is None:
            raise TrustError(
                f"{what} cannot be read", kind=ProblemKind.BAD_TAG, hint=f"`git cat-file tag {name}`; {again}"
            )
        if (head[1].decode(), head[2]) != (tag.commit, b"commit"):
            raise TrustError(f"{what} is not of this commit itself", kind=ProblemKind.BAD_TAG, hint=again)
        if head[3] != tag.name.encode():
            said = printable(head[3].decode(errors="replace"), 60)
            raise TrustError(f"{what} says of itself that it is {said}", kind=ProblemKind.BAD_TAG, hint=again)
        try:
            return self._tagged(raw, after)
        except RefusedSignatureError as refused:
            raise self._refusal(what, refused, again, "tag.gpgSign") from refused

    def in_force(self, record: TrustRecord, sha: str) -> Signer | None:
        """The signer of ``sha``, the commit trusted last, by the anchors and its own trusted signers. If the object of
        the tag that it was trusted under is gone, the recorded signer."""
        if self.anchors is None:
            return None
        raw = self.mirror.tag(record.tag_object) if record.tag_object else None
        if record.tag_object and raw is None:
            return Signer(record.principal, record.fingerprint)
        try:
            return self.commit(sha, after=sha) if raw is None else self._tagged(raw, sha)
        except RefusedSignatureError as refused:
            what = f"tag {printable(record.tag, 60)} (commit {sha[:12]})"
            raise self._refusal(what, refused, _TAG_AGAIN.format(name="NAME"), "tag.gpgSign") from refused

    def _tagged(self, raw: bytes, after: str) -> Signer | None:
        if self.anchors is None:
            return None
        text: SignedText = openssh.split_tag(raw)
        return openssh.signer_of(text, self._keys(after), now=self.now)

    def _keys(self, after: str | None) -> bytes:
        anchors = self.anchors or b""
        return anchors if after is None else openssh.allowed_signers((anchors, self.signers(after)))

    def signers(self, sha: str) -> bytes:
        """The trusted_signers of a commit, empty if it has none."""
        try:
            return self.mirror.tree(sha).read(self._file)
        except KeyError:
            return b""

    @property
    def _file(self) -> str:
        return f"inventories/{self.inventory}/trusted_signers"

    def _refusal(self, what: str, refused: RefusedSignatureError, again: str, option: str) -> TrustError:
        hint = _HINTS[refused.kind].format(again=again, option=option, signers=self._file)
        return TrustError(f"{what} {refused}", kind=refused.kind, hint=hint)


def moved(tag: Tag, before: str) -> TrustError:
    """The error for a tag that names another commit than the one that was trusted under its name."""
    name = printable(tag.name, 60)
    return TrustError(
        f"tag {name} was moved: it names commit {tag.commit[:12]}, and {before[:12]} was trusted under that name",
        kind=ProblemKind.TAG_MOVED,
        hint=f"a released name stays: put {name} back on {before[:12]}, or delete it, and tag under a new name",
    )


def read_anchors(path: Path) -> bytes:
    """The anchors of this host; empty if there is no such file. Raises TrustError if it is not root's own file: whoever
    put it there would say whom to trust."""
    if wrong := misplaced_file(path):
        raise TrustError(
            f"{path} is {wrong}, not a file of this host's own",
            kind=ProblemKind.NO_ANCHORS,
            hint="put the file with the administrators' keys back there (allowed_signers, see ssh-keygen(1))",
        )
    try:
        return read_bounded(path)
    except FileNotFoundError:
        return b""
