"""The phase ``plan_ending``, and the last acts of a cycle: the host reboots, or the agent switches to another version.

A person who runs a cycle by hand is not thrown out of their session: the daemon's next cycle reboots.

A cycle builds the pinned version of the agent and lets it check itself; it switches to that version at its very end.
The new version is kept once a cycle of its own has gone well. Until then it is on trial, and the version before may
come back. (The trial of a change in Git, ``domain.trial``, is another thing.)
"""

from __future__ import annotations

from dataclasses import replace

from agent.domain.account import Account, Reboot, Trigger
from agent.domain.event import Event, EventKind
from agent.domain.host_phase import HostPhase, host_phase
from agent.domain.memory import Update, UpdateStage
from agent.domain.plan import Hold, HoldKind
from agent.errors import Exit, HostwrightError, host_io_error
from agent.host.versions import STEADY_S
from agent.parts import Parts
from agent.phases import Cycle, Ending
from agent.steps import update as updates
from agent.system import systemd

REBOOT_AGAIN_S = 24 * 3600
"""Seconds between two reboots: a host that needs another one sooner does not get what it needs by rebooting."""


def plan_ending(cycle: Cycle, account: Account) -> Ending:
    """Decide what the cycle does after its report: reboot the host, switch to another version of the agent, or
    neither. ``account``: that of the phases so far."""
    parts, ending = cycle.parts, Ending()
    with cycle.log.surviving():
        state = parts.memory.state()
        found = needed_reboot(
            account,
            allowed=(account.fleet or state.fleet).reboots,
            rebooted=state.rebooted,
            pending=parts.memory.trial() is not None,
            trigger=cycle.trigger,
            now=parts.clock(),
        )
        ending = Ending(found)
    with cycle.log.surviving():
        return _plan_update(parts, replace(account, reboot=ending.reboot), ending, cycle.trigger)
    return ending


def needed_reboot(
    account: Account, *, allowed: bool, rebooted: int, pending: bool, trigger: Trigger, now: int
) -> Reboot | None:
    """The reboot that the host needs, with its hold. None if it needs none, or fleet.yaml never reboots it (not
    ``allowed``). Pure.

    ``rebooted``: when this was last done (seconds since the epoch, 0: never). ``pending``: True if a change is still on
    trial.
    """
    if not allowed or account.health is None or not account.health.reboot_required:
        return None
    if account.shut is not None:
        return Reboot(_reboot_hold(account.shut.reason, account.shut.until))
    if 0 < rebooted <= now < rebooted + REBOOT_AGAIN_S:
        why = "it was rebooted less than a day ago and needs it again; look why"
        return Reboot(_reboot_hold(why, rebooted + REBOOT_AGAIN_S))
    phase = host_phase(account)
    reasons = (
        "" if phase is HostPhase.CONVERGED else f"the host is {phase.value} and first has to converge",
        "a change is on trial" if pending else "",
        "the daemon's next cycle does it" if trigger is Trigger.PERSON else "",
    )
    return Reboot(next((_reboot_hold(reason) for reason in reasons if reason), None))


def _reboot_hold(why: str, until: int | None = None) -> Hold:
    return Hold(HoldKind.REBOOT, f"it needs a reboot; {why}", until)


def _plan_update(parts: Parts, account: Account, ending: Ending, trigger: Trigger) -> Ending:
    """``ending`` with the decision about the pinned version: to switch to it when this cycle ends, or a hold. Unchanged
    if that version runs already, or none is pinned. Raises HostwrightError where an earlier try of it failed, and no
    other is due."""
    pin, update = account.agent, parts.memory.update()
    if pin is None or pin.name == parts.versions.running:
        return ending
    if (obstacle := updates.obstacle(pin, update, trigger=trigger, now=parts.clock())) is not None:
        raise obstacle
    hold = updates.waits(
        account,
        lacks=parts.versions.lacks(),
        pending=parts.memory.trial() is not None,
        unheard=parts.memory.state().exit == Exit.REPORT,
        stopped=parts.engine.stopped,
    )
    return replace(ending, update=hold, may_switch=hold is None)


def reboot_if_due(parts: Parts, account: Account) -> None:
    """Reboot the host if ``plan_ending`` found that it is time. Raises HostwrightError where systemd refuses."""
    if account.reboot is not None and account.reboot.hold is None:
        # Write this down first, or the host reboots in a loop.
        parts.memory.keep_state(replace(parts.memory.state(), rebooted=parts.clock()))
        systemd.reboot()


def finish_update(parts: Parts, account: Account, trigger: Trigger) -> bool:
    """Judge the version on trial, or switch to the pinned one. This is the last act of a cycle, when all that it did is
    remembered and reported. Return True if it switched. Raises HostwrightError, OSError."""
    update = parts.memory.update()
    if update is not None and update.stage == UpdateStage.TRIAL:
        _judge_version(parts, account, update, trigger)
    elif update is not None and update.stage == UpdateStage.REVERTED:
        helped = updates.does_well(account, update)
        parts.memory.keep_update(updates.after_revert(update, helped=helped, now=parts.clock()))
    elif account.may_switch:
        return _try(parts, account, update)
    return False


def _try(parts: Parts, account: Account, update: Update | None) -> bool:
    """Build the pinned version, put it on trial, and switch to it. Return True if it switched. Raises HostwrightError,
    OSError, after the failure is remembered."""
    pin, now = account.agent, parts.clock()
    if pin is None:
        return False
    trial = updates.on_trial(pin, account, update, now=now)
    if parts.engine.stopped or not updates.does_well(account, trial):  # False if the report of this cycle was not sent
        return False
    try:
        if update is not None and update.digest != pin.digest:
            parts.versions.discard(update.name)
        parts.versions.prepare(pin, lambda: parts.engine.stopped)
        parts.memory.keep_update(replace(trial, at=parts.clock()))
        parts.versions.switch(pin.name)
    except (HostwrightError, OSError) as error:
        # The report of this cycle was sent before, so the next one tells of this failure.
        told = host_io_error(error) if isinstance(error, OSError) else error
        parts.memory.keep_update(updates.failed(update, pin, told.message, now=now))
        raise told from error
    return True


def _judge_version(parts: Parts, account: Account, update: Update, trigger: Trigger) -> None:
    """Keep the version on trial if this cycle ran by its own units and does well. Otherwise do nothing: the timer
    switches back when it runs out."""
    versions = parts.versions
    if not versions.on_trial or update.name != versions.running or parts.renewed or trigger is Trigger.PERSON:
        return
    if updates.does_well(account, update) and versions.daemon_runs(STEADY_S):
        versions.keep()
        parts.memory.keep_update(None)
        parts.events.add([Event(parts.clock(), EventKind.UPDATED, f"the agent runs version {update.version} now")])
