"""Commits and the tags on them: those that were fetched, and those that are trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class TrustMode(StrEnum):
    """The condition for trusting a commit: a trusted signer signed it, or somebody could push it."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


class BranchRule(StrEnum):
    """The condition, besides a signature, for a commit without a trusted tag to move the branch that a host follows."""

    UNSEEN = "unseen"
    """The commit names this branch, or was never seen on another one before."""
    NAMED = "named"
    """The commit names this branch."""
    ANY = "any"
    """The commit does not name other branches only."""

    @classmethod
    def _missing_(cls, value: object) -> BranchRule:
        """The default, for a rule that only a newer agent knows."""
        del value
        return cls.UNSEEN


@dataclass(frozen=True, slots=True)
class Accept:
    """The commits that a host takes as new.

    ``commits``: the tip of the branch, if each commit up to it is signed. ``tags``: commits under a signed tag whose
    name matches one of these patterns (fnmatch; ``*`` also matches ``/``). ``branch``: the rule for commits that may
    have been signed for another branch."""

    commits: bool = True
    tags: tuple[str, ...] = ()
    branch: BranchRule = BranchRule.UNSEEN

    def takes(self, tag: str) -> bool:
        """True if a tag of this name counts."""
        return any(fnmatchcase(tag, pattern) for pattern in self.tags)


Accepts = Callable[[str | None], Accept]
"""A function from the commit trusted last (None: there is none yet) to what the host takes as new behind it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as the remote offers it, not verified. ``object``: the id of the object that it points to. ``commit``: the
    commit that it stands for; the same id where the tag has no object of its own."""

    name: str
    object: str
    commit: str

    @property
    def annotated(self) -> bool:
        """True if the tag has an object of its own, which somebody can have signed."""
        return self.object != self.commit


@dataclass(frozen=True, slots=True)
class Commit:
    """The tip of the config branch as fetched, not verified."""

    sha: str
    subject: str
    others: Mapping[str, str] = field(default_factory=dict)
    """The commits of the remote's other branches, by name."""
    tags: tuple[Tag, ...] = ()
    """The tags that the remote offers, on whichever commit, where tags are accepted."""
    listed: bytes = field(default=b"", repr=False)
    """The remote's refs as git listed them, a line each."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The signer of a commit: a principal of allowed_signers and the key's SHA256 fingerprint."""

    principal: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrustedCommit:
    """A commit that this host may export and run.

    Only ``steps.verify`` makes one; a test of the source makes sure of that. Every step behind it takes this type, so
    that unverified content cannot get further by mistake.
    """

    sha: str
    subject: str
    signer: Signer | None
    """None where the host's settings say ``trust: unsigned``."""
    tag: Tag | None = None
    """The tag whose signature vouches for the commit; None where its own signature does."""
    note: str = ""
    """A remark that does not count against the commit, such as that the key has expired since."""
