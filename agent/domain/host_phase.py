"""The phase of a host: its state after a cycle, in one word. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from agent.domain.plan import Cause

if TYPE_CHECKING:  # who reads reports needs the words alone
    from agent.domain.account import Account


class HostPhase(StrEnum):
    """The state of the host, in one word."""

    ATTEMPTING = "attempting"
    """About to apply an intended change; if nothing follows, the change took the host down."""
    CONVERGED = "converged"
    """The host is what the commit aimed at says."""
    DRIFTED = "drifted"
    """Something was changed by hand and may not be repaired now (held), or a repair waits."""
    WAITING = "waiting"
    """Git wants changes that are held: suspended, observed, or waiting to try again."""
    FAILED = "failed"
    """A deploy failed, or the newest commit cannot be used and the host stays on the one before."""
    UNHEALTHY = "unhealthy"
    """Converged, and not well."""
    ROLLED_BACK = "rolled-back"
    """The newest commit did the host harm, or twice did not end. The host stays on the last good state."""
    INCONCLUSIVE = "inconclusive"
    """The host went back, and is no better for it: the commit may not be to blame, and is tried again."""
    STARTING = "starting"
    """No cycle has got far enough to tell."""


_TAKEN_BACK = {"bad": HostPhase.ROLLED_BACK, "inconclusive": HostPhase.INCONCLUSIVE}


def host_phase(account: Account) -> HostPhase:
    """The phase of the host after this cycle."""
    taken_back = _TAKEN_BACK.get(account.hold.kind) if account.hold is not None else None
    if account.harmed and account.rollback is None:
        return HostPhase.FAILED
    if account.after is None:
        return HostPhase.FAILED if account.failures else HostPhase.STARTING
    if taken_back is not None or (account.health is not None and not account.health.healthy):
        return taken_back or HostPhase.UNHEALTHY
    waiting = [change for change in account.after.changes if not account.repeats(change)]
    if any(change.cause is Cause.DRIFT for change in waiting):
        return HostPhase.DRIFTED
    held = account.hold is not None or (account.pruned is not None and account.pruned.held)
    if waiting or held or any(deploy.unknown for deploy in account.after.deploys):
        return HostPhase.WAITING
    return HostPhase.CONVERGED
