"""Commits: what was fetched, and what may be acted on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TrustMode(StrEnum):
    """Whether this host asks who signed what it runs."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Commit:
    """The tip of the config branch as fetched: content nobody has judged yet."""

    sha: str
    subject: str
    committed_at: int
    """Seconds since the epoch, as the commit claims; never used to judge it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who vouched for a commit: a principal of allowed_signers and the key's SHA256 fingerprint."""

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
