"""update: turns the agent's pin into a new version of the agent, or into what that waits for; and what its first cycles
turn out into a verdict. Pure.

A new version is an intended change of its own kind: it waits for windows and suspensions, and never comes into the
middle of anything. It is good when a cycle of its own ends as the last one before it did, or better, and is reported.
Where going back to the version before does not help either, the new one is not to blame, and is tried again.
"""

from __future__ import annotations

import dataclasses

from agent.domain.account import Account
from agent.domain.memory import Stage, Update
from agent.domain.pins import AgentPin
from agent.domain.plan import Hold
from agent.errors import Exit, HealthError, HostwrightError, SourceError, first_exit

KIND = "update"

FIRST_BACKOFF_S = 5 * 60
LONGEST_BACKOFF_S = 6 * 3600
"""An environment is a hundred megabytes: what fails again and again does not fetch it every half hour."""

_OWN_KINDS = frozenset({"update-failed", "update-reverted"})


def obstacle(pin: AgentPin, update: Update | None, *, now: int) -> HostwrightError | None:
    """Why ``pin`` is not tried now, for what came of it before; None when it may be."""
    if update is None or update.digest != pin.digest:
        return None
    if update.stage in (Stage.REVERTED, Stage.BAD):
        return HealthError(
            f"agent {pin.version} did not report well in its time: the host was switched back",
            kind="update-reverted",
            hint="the journal of that time says why (journalctl -u hostwright-cycle); pin another one: hostwright lock",
        )
    if now < update.not_before <= now + LONGEST_BACKOFF_S:
        return SourceError(update.why, kind="update-failed", hint="this host stays on the version it has")
    return None


def waits(account: Account, *, serves: bool, pending: bool, unheard: bool, stopped: bool) -> Hold | None:
    """What a new version waits for. ``serves``: whether the agent runs here by its own units. ``pending``: whether a
    change of the host is on trial. ``unheard``: whether the last report was not taken. ``stopped``: whether this cycle
    was asked to end."""
    if account.shut is not None:
        return Hold(KIND, f"a new version of the agent waits; {account.shut.reason}", account.shut.until)
    if account.hold is not None:
        return Hold(KIND, f"a new version of the agent waits; {account.hold.reason}", account.hold.until)
    reasons = (
        "" if serves else "no service runs the agent here; bootstrap.sh brings the new version",
        "a change is on trial" if pending else "",
        "the host went back to its last good state just now" if account.rollback is not None else "",
        "the host reboots first" if account.reboot is not None and account.reboot.hold is None else "",
        "this cycle was asked to end" if stopped else "",
        "reports are not taken now, so nobody could tell how it does" if unheard else "",
        "what it depends on cannot be reached" if _has(account, Exit.SOURCE) else "",
    )
    why = next((reason for reason in reasons if reason), None)
    return Hold(KIND, f"a new version of the agent waits; {why}") if why is not None else None


def failed(update: Update | None, pin: AgentPin, why: str, *, now: int) -> Update:
    """To be tried again, later each time."""
    return _again(Update(pin.version, pin.digest, Stage.FAILED.value, now, 0, _failures(update, pin)), why, now)


def on_trial(pin: AgentPin, account: Account, update: Update | None, *, now: int) -> Update:
    return Update(pin.version, pin.digest, Stage.TRIAL.value, now, int(_exit(account)), _failures(update, pin))


def does_well(account: Account, update: Update) -> bool:
    """Whether this cycle, of the version on trial or of the one gone back to, ended as the last one before, or better,
    and said so."""
    return not _has(account, Exit.REPORT) and int(_exit(account)) in (Exit.FINE, update.exit)


def judged(update: Update, *, helped: bool, now: int) -> Update:
    """A version that was switched back from, once the one before it has run. ``helped``: that does well."""
    if helped:
        return dataclasses.replace(update, stage=Stage.BAD.value)
    return _again(update, f"agent {update.version} did not report well, and neither does the one before it", now)


def _failures(update: Update | None, pin: AgentPin) -> int:
    return update.failures if update is not None and update.digest == pin.digest else 0


def _again(update: Update, why: str, now: int) -> Update:
    delay = min(FIRST_BACKOFF_S * 2 ** min(update.failures, 16), LONGEST_BACKOFF_S)
    failures, stage = update.failures + 1, Stage.FAILED.value
    return dataclasses.replace(update, stage=stage, failures=failures, not_before=now + delay, why=why)


def _has(account: Account, code: Exit) -> bool:
    return any(failure.exit is code for failure in account.failures if failure.kind not in _OWN_KINDS)


def _exit(account: Account) -> Exit:
    """The cycle's exit code, but for what it says of updates."""
    codes = [failure.exit for failure in account.failures if failure.kind not in _OWN_KINDS]
    if account.health is not None and not account.health.healthy:
        codes.append(Exit.UNHEALTHY)
    return first_exit(codes)
