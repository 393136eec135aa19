"""Updates of the agent. A cycle builds the pinned version and lets it check itself; it switches to that version at its
very end. The new version is kept once a cycle of its own has gone well. Until then it is on trial, and the version
before may come back. (The trial of a change in Git, ``domain.trial``, is another thing.)"""

from __future__ import annotations

from dataclasses import replace

from agent.domain.account import Account, Trigger
from agent.domain.event import Event, EventKind
from agent.domain.memory import Update, UpdateStage
from agent.errors import Exit, HostwrightError, host_io_error
from agent.host.versions import STEADY_S
from agent.parts import Parts
from agent.phases import Ending
from agent.steps import update as updates


def plan_update(parts: Parts, account: Account, ending: Ending, trigger: Trigger) -> Ending:
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
