"""From the agent's pin to the version that runs: built and looked into, switched to at the very end of a cycle, kept
when a cycle of its own has gone well."""

from __future__ import annotations

from agent import __version__
from agent.domain.account import Account
from agent.domain.event import Event
from agent.domain.memory import Stage, Update
from agent.errors import Exit, SourceError
from agent.parts import Parts
from agent.steps import update as updates


def make_ready(parts: Parts, account: Account) -> None:
    """Builds the pinned version, where that may be switched to as this cycle ends. Raises HostwrightError, OSError."""
    pin, update = account.agent, parts.memory.update()
    if pin is None or pin.version == __version__:
        return
    now = parts.clock()
    if (obstacle := updates.obstacle(pin, update, now=now)) is not None:
        raise obstacle
    account.update = updates.waits(
        account,
        serves=parts.versions.kept,
        pending=parts.memory.trial() is not None,
        unheard=parts.memory.state().exit == Exit.REPORT,
        stopped=parts.engine.stopped,
    )
    if account.update is not None:
        return
    try:
        parts.versions.prepare(pin)
    except SourceError as error:
        parts.memory.keep_update(updates.failed(update, pin, error.message, now=now))
        raise
    account.ready = True


def conclude(parts: Parts, account: Account) -> None:
    """The last act of a cycle: a verdict on the version that runs, or the switch to the next. Raises HostwrightError,
    OSError."""
    update, pin, now = parts.memory.update(), account.agent, parts.clock()
    if update is not None and update.stage == Stage.TRIAL:
        _judge_trial(parts, account, update, now)
    elif update is not None and update.stage == Stage.REVERTED:
        helped = updates.does_well(account, update)
        parts.memory.keep_update(updates.judged(update, helped=helped, now=now))
    elif pin is not None and account.ready and not parts.engine.stopped:
        trial = updates.on_trial(pin, account, update, now=now)
        if updates.does_well(account, trial):
            parts.memory.keep_update(trial)
            parts.versions.switch(pin.version)


def _judge_trial(parts: Parts, account: Account, update: Update, now: int) -> None:
    """Kept, where it is the one on trial and does well; else the timer is left to run out."""
    versions = parts.versions
    if not versions.on_trial or update.version != __version__:
        return
    if updates.does_well(account, update) and versions.daemon_runs:
        versions.keep()
        parts.memory.keep_update(None)
        parts.events.add([Event(now, "updated", f"the agent runs version {update.version} now")])
