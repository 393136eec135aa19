"""reboot: turns a host that needs a reboot into one that goes down now, or into what that waits for. Pure.

It is the last act of a cycle, when all is applied, settled, well and reported, and inside the host's windows. A person
who runs a cycle by hand is not thrown out of their session: the daemon's next cycle does it.
"""

from __future__ import annotations

from agent.domain.account import Account, Reboot, Trigger
from agent.domain.phase import Phase, phase_of
from agent.domain.plan import Hold, HoldKind

AGAIN_S = 24 * 3600
"""Seconds between two reboots: a host that needs another one sooner does not get what it needs by rebooting."""


def reboot(
    account: Account, *, allowed: bool, rebooted: int, pending: bool, trigger: Trigger, now: int
) -> Reboot | None:
    """The reboot that the host needs, with its hold. None if it needs none, or fleet.yaml never reboots it (not
    ``allowed``).

    ``rebooted``: when this was last done (seconds since the epoch, 0: never). ``pending``: True if a change is still on
    trial.
    """
    if not allowed or account.health is None or not account.health.reboot_required:
        return None
    if account.shut is not None:
        return Reboot(_waits(account.shut.reason, account.shut.until))
    if 0 < rebooted <= now < rebooted + AGAIN_S:
        return Reboot(_waits("it was rebooted less than a day ago and needs it again; look why", rebooted + AGAIN_S))
    phase = phase_of(account)
    reasons = (
        "" if phase is Phase.CONVERGED else f"the host is {phase.value} and first has to converge",
        "a change is on trial" if pending else "",
        "the daemon's next cycle does it" if trigger is Trigger.PERSON else "",
    )
    return Reboot(next((_waits(reason) for reason in reasons if reason), None))


def _waits(why: str, until: int | None = None) -> Hold:
    return Hold(HoldKind.REBOOT, f"it needs a reboot; {why}", until)
