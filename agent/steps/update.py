"""update: turns the agent's pin into a new version of the agent, or into what that waits for; and its first cycles into
a verdict. Pure.

A new version is an intended change of its own kind. It waits for windows and suspensions, and until nothing else is
under way. It is good when a cycle of its own finds nothing wrong that was not before it, and reports that. If the
version before does no better, the new one is not to blame, and is tried again.
"""

from __future__ import annotations

import dataclasses
import re

from agent.domain.account import Account, Trigger
from agent.domain.memory import Update, UpdateStage
from agent.domain.pins import AgentPin
from agent.domain.plan import Hold, HoldKind
from agent.errors import Exit, HealthError, HostwrightError, SourceError
from agent.problems import ProblemKind

FIRST_BACKOFF_S = 5 * 60
LONGEST_BACKOFF_S = 6 * 3600
"""An environment is a hundred megabytes: an update that keeps failing must not fetch it every half hour."""

OLD_VERSION_TRIAL_S = 30 * 60
"""The agent gives the version that it went back to this long to report well: as long as the new one had, by
hostwright-revert.timer."""

REVERTS_MOST = 2
"""A version that was switched back from so often, because the one before it did better, is bad. Once may have been the
network's doing."""

_AGAIN = {
    UpdateStage.FAILED: "it is tried once more by itself",
    UpdateStage.REVERTED: "whether that helps is to be seen",
    UpdateStage.BAD: "it is not tried again",
}
_OWN_KINDS = frozenset({ProblemKind.UPDATE_FAILED, ProblemKind.UPDATE_REVERTED})
_NUMBER = re.compile(r"\d+")


def obstacle(pin: AgentPin, update: Update | None, *, trigger: Trigger, now: int) -> HostwrightError | None:
    """The error that says why ``pin`` is not tried now, for what came of it before; None when it may be. A person waits
    for no backoff, and may try a bad version again."""
    if update is None or update.digest != pin.digest or update.stage == UpdateStage.TRIAL:
        return None
    early = now < update.not_before <= now + LONGEST_BACKOFF_S
    if update.stage == UpdateStage.FAILED and (not early or trigger is Trigger.PERSON):
        return None
    if update.stage == UpdateStage.BAD and trigger is Trigger.PERSON:
        return None
    if update.reverts or update.stage in (UpdateStage.REVERTED, UpdateStage.BAD):
        again = _AGAIN[UpdateStage(update.stage)]
        return HealthError(
            f"agent {pin.version} did not report well in its time, and the host was switched back: {again}",
            kind=ProblemKind.UPDATE_REVERTED,
            hint="the journal of that time says why (journalctl -u hostwright-cycle); pin another one, or try it again "
            "with `hostwright apply`",
        )
    return SourceError(update.why, kind=ProblemKind.UPDATE_FAILED, hint="this host stays on the version it has")


def waits(account: Account, *, lacks: str, pending: bool, unheard: bool, stopped: bool) -> Hold | None:
    """The hold on a new version; None if it may be tried. ``lacks``: the reason why nothing could switch back from it.
    ``pending``: True if a change of the host is on trial. ``unheard``: True if the last report was not taken.
    ``stopped``: True if this cycle was asked to end."""
    if account.shut is not None:
        return Hold(HoldKind.UPDATE, f"a new version of the agent waits; {account.shut.reason}", account.shut.until)
    if account.hold is not None:
        return Hold(HoldKind.UPDATE, f"a new version of the agent waits; {account.hold.reason}", account.hold.until)
    reasons = (
        lacks,
        "a change is on trial" if pending else "",
        "the host went back to its last good state just now" if account.rollback is not None else "",
        "the host reboots first" if account.reboot is not None and account.reboot.hold is None else "",
        "this cycle was asked to end" if stopped else "",
        "reports are not taken now, so nobody could tell how it does" if unheard else "",
        "what it depends on cannot be reached" if _has(account, Exit.SOURCE) else "",
    )
    why = next((reason for reason in reasons if reason), None)
    return Hold(HoldKind.UPDATE, f"a new version of the agent waits; {why}") if why is not None else None


def failed(update: Update | None, pin: AgentPin, why: str, *, now: int) -> Update:
    """The update to remember after a failed try of ``pin``; the wait before the next try doubles."""
    return _again(_begun(update, pin, UpdateStage.FAILED, (), now), why, now)


def on_trial(pin: AgentPin, account: Account, update: Update | None, *, now: int) -> Update:
    return _begun(update, pin, UpdateStage.TRIAL, tuple(sorted(troubles(account))), now)


def does_well(account: Account, update: Update) -> bool:
    """True if this cycle found nothing wrong that was not so before the update, and reported. It is a cycle of the
    version on trial, or of the one gone back to."""
    return not _has(account, Exit.REPORT) and troubles(account) <= set(update.troubles)


def troubles(account: Account) -> frozenset[str]:
    """The problems of the host, without those of updates. The same problem has the same text in each cycle."""
    kinds = {failure.kind for failure in account.failures if failure.kind not in _OWN_KINDS}
    held = account.permitted.deploy_holds if account.permitted is not None else {}
    failing = {name for name, hold in held.items() if hold.kind is HoldKind.BACKOFF}
    deploys = account.state.deploys if account.state is not None else ()
    failing |= {deploy.name for deploy in deploys if account.why_failed(deploy.name) is not None}
    found = {ProblemKind.DEPLOY_FAILED if kind is ProblemKind.BACKOFF else kind for kind in kinds}
    complaints = account.health.complaints if account.health is not None else ()
    return frozenset(
        {
            *(kind.value for kind in found),
            *(f"deploy {name}" for name in failing),
            *(f"unhealthy {_NUMBER.sub('#', complaint)}" for complaint in complaints),
        }
    )


def after_revert(update: Update, *, helped: bool, now: int) -> Update:
    """The update to remember when the agent was switched back and the version before has run. ``helped``: True if that
    one does well. If it does not, nothing is decided until ``OLD_VERSION_TRIAL_S`` are over."""
    if not helped and update.at <= now < update.at + OLD_VERSION_TRIAL_S:
        return update
    if not helped:
        return _again(update, f"agent {update.version} did not report well, and neither does the one before it", now)
    update = dataclasses.replace(update, reverts=update.reverts + 1)
    if update.reverts >= REVERTS_MOST:
        return dataclasses.replace(update, stage=UpdateStage.BAD.value)
    return dataclasses.replace(_again(update, "", now), not_before=now + LONGEST_BACKOFF_S)


def _begun(update: Update | None, pin: AgentPin, stage: UpdateStage, known: tuple[str, ...], now: int) -> Update:
    before = update if update is not None and update.digest == pin.digest else None
    failures, reverts = (before.failures, before.reverts) if before is not None else (0, 0)
    return Update(pin.version, pin.name, pin.digest, stage.value, now, known, failures, reverts)


def _again(update: Update, why: str, now: int) -> Update:
    delay = min(FIRST_BACKOFF_S * 2 ** min(update.failures, 16), LONGEST_BACKOFF_S)
    failures, stage = update.failures + 1, UpdateStage.FAILED.value
    return dataclasses.replace(update, stage=stage, failures=failures, not_before=now + delay, why=why)


def _has(account: Account, code: Exit) -> bool:
    return any(failure.exit is code for failure in account.failures if failure.kind not in _OWN_KINDS)
