"""freeze: turns the commit trusted last into the reason to touch nothing, where whoever signed it counts no more."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from agent.domain.commit import TrustMode
from agent.domain.memory import TrustRecord
from agent.errors import TrustError
from agent.problems import ProblemKind
from agent.steps.signatures import NEVER_TRUSTED, SignatureVerifier, read_anchors
from agent.system.git import Mirror


class SignerStanding(StrEnum):
    """Whether whoever vouched for the commit trusted last still counts."""

    COUNTS = "counts"
    EXPIRED = "expired"
    """Named still, by a key that has expired: what it signed before stays in force."""
    REVOKED = "revoked"
    """Named neither by the host's anchors nor by that commit."""
    UNSIGNED = "unsigned"
    """It was trusted while nobody was asked."""
    UNKNOWN = "unknown"
    """Signatures cannot be checked here."""


_STANDINGS = {
    **dict.fromkeys(NEVER_TRUSTED, SignerStanding.UNSIGNED),
    ProblemKind.EXPIRED_KEY: SignerStanding.EXPIRED,
    ProblemKind.WRONG_SIGNER: SignerStanding.REVOKED,
}
"""By why whoever vouched for it does not count."""


def revoked(
    record: TrustRecord, *, mirror: Mirror, inventory: str, mode: TrustMode, anchors: Path, now: int
) -> TrustError | None:
    """Why this host is frozen; None where it is not. Raises SourceError where the commit cannot be read."""
    if record.last is None or mode is TrustMode.UNSIGNED:
        return None
    found, why = standing(record, record.last, SignatureVerifier(mirror, inventory, read_anchors(anchors), now))
    if found is not SignerStanding.REVOKED:
        return None
    who = f" ({record.principal} when it was trusted)" if record.principal else ""
    return TrustError(
        f"{why}{who}; nothing is changed on this host until somebody who is vouches for a newer one",
        kind=ProblemKind.SIGNER_REVOKED,
        hint=f"look at what {record.last[:12]} did, revert what should not have been, and push a commit signed by "
        f"somebody who is in {anchors} or in that commit's trusted_signers",
    )


def standing(record: TrustRecord, last: str, judge: SignatureVerifier) -> tuple[SignerStanding, str]:
    """Whether who vouched for ``last``, the commit trusted last, counts now, and if not, why."""
    try:
        judge.in_force(record, last)
    except TrustError as error:
        found = _STANDINGS.get(error.kind, SignerStanding.UNKNOWN)
        if found is SignerStanding.REVOKED and _counted(judge, record, last):
            found = SignerStanding.EXPIRED
        return found, error.message
    return SignerStanding.COUNTS, ""


def _counted(judge: SignatureVerifier, record: TrustRecord, last: str) -> bool:
    """Whether the same keys vouched for it when it was trusted: certificates do not say that they have expired."""
    try:
        replace(judge, now=record.at).in_force(record, last)
    except TrustError:
        return False
    return True
