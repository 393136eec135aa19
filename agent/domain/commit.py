"""Commits and the tags on them: what was fetched, and what may be acted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class TrustMode(StrEnum):
    """Trust in signers, or in whoever can push."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


class BranchRule(StrEnum):
    """The condition, besides a signature, for a commit without a trusted tag to move the branch that a host follows."""

    UNSEEN = "unseen"
    """It names this branch, or was not seen on another one before."""
    NAMED = "named"
    """It names this branch."""
    ANY = "any"
    """Nothing, as long as it does not name other branches only."""

    @classmethod
    def _missing_(cls, value: object) -> BranchRule:
        """A newer agent's rule, which this one does not know: the default."""
        del value
        return cls.UNSEEN


@dataclass(frozen=True, slots=True)
class Accept:
    """The commits of the branch that count as new: the tip where each commit is signed, commits under tags that match
    one of the patterns ``tags`` (fnmatch, ``*`` also matches ``/``), or both. ``branch``: for which branch they have to
    be."""

    commits: bool = True
    tags: tuple[str, ...] = ()
    branch: BranchRule = BranchRule.UNSEEN

    def takes(self, tag: str) -> bool:
        """True if a tag of this name counts."""
        return any(fnmatchcase(tag, pattern) for pattern in self.tags)


Accepts = Callable[[str | None], Accept]
"""Gives what a host takes as new behind a commit that it trusts; None: behind none."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as the remote offers it: ``object`` is what it is at, ``commit`` what that stands for in the end. Nobody
    has looked into it yet."""

    name: str
    object: str
    commit: str

    @property
    def annotated(self) -> bool:
        """True if the tag has an object of its own, which somebody can have signed."""
        return self.object != self.commit


@dataclass(frozen=True, slots=True)
class Commit:
    """The tip of the config branch as fetched: content nobody has judged yet."""

    sha: str
    subject: str
    others: Mapping[str, str] = field(default_factory=dict)
    """The commits of the remote's other branches, by name."""
    tags: tuple[Tag, ...] = ()
    """The tags that the remote offers, on whichever commit, where tags are accepted."""
    listed: bytes = field(default=b"", repr=False)
    """All that git said of the remote's refs, a line each."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The signer of a commit: a principal of allowed_signers and the key's SHA256 fingerprint."""

    principal: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrustedCommit:
    """A commit that this host may export and run.

    Only ``steps.verify`` makes one (a test reads the source to hold that); every step behind it asks for this
    type, so unverified content cannot travel further by mistake.
    """

    sha: str
    subject: str
    signer: Signer | None
    """None where the host's settings say ``trust: unsigned``."""
    tag: Tag | None = None
    """The tag whose signature vouches for it; None where it is the commit's own."""
    note: str = ""
    """A remark that does not count against it, such as that the key has expired since."""
