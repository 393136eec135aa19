"""freeze: turns the commit trusted last into the reason to touch nothing, if whoever signed it is no longer trusted."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from agent.domain.commit import TrustMode
from agent.domain.memory import TrustRecord
from agent.errors import TrustError
from agent.problems import ProblemKind
from agent.steps.signatures import NEVER_TRUSTED, SignatureVerifier, read_anchors
from agent.system.mirror import Mirror


class SignerStanding(StrEnum):
    """The standing of the signer of the commit trusted last."""

    COUNTS = "counts"
    EXPIRED = "expired"
    """The signer is still named, but the key has expired: what it signed before stays in force."""
    REVOKED = "revoked"
    """Neither the host's anchors nor that commit name the signer."""
    UNSIGNED = "unsigned"
    """The host trusted the commit while it asked for no signatures."""
    UNKNOWN = "unknown"
    """Signatures cannot be checked here."""


_STANDINGS = {
    **dict.fromkeys(NEVER_TRUSTED, SignerStanding.UNSIGNED),
    ProblemKind.EXPIRED_KEY: SignerStanding.EXPIRED,
    ProblemKind.WRONG_SIGNER: SignerStanding.REVOKED,
}
"""The standing, by the kind of the refusal."""


def revoked(
    record: TrustRecord, *, mirror: Mirror, inventory: str, mode: TrustMode, anchors: Path, now: int
) -> TrustError | None:
    """The error for a host that is frozen; None if it is not. Raises SourceError where the commit cannot be read."""
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
    """The standing of the signer of ``last``, the commit trusted last, and the reason, which is empty if the signer
    counts."""
    try:
        judge.in_force(record, last)
    except TrustError as error:
        found = _STANDINGS.get(error.kind, SignerStanding.UNKNOWN)
        if found is SignerStanding.REVOKED and _counted(judge, record, last):
            found = SignerStanding.EXPIRED
        return found, error.message
    return SignerStanding.COUNTS, ""


def _counted(judge: SignatureVerifier, record: TrustRecord, last: str) -> bool:
    """True if the same keys vouched for the commit when it was trusted. The refusal of an expired certificate does not
    say that it has expired."""
    try:
        replace(judge, now=record.at).in_force(record, last)
    except TrustError:
        return False
    return True
