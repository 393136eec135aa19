"""The agent on one page: what one cycle does, in order. Start reading here.

    fetch ─Commit→ verify ─TrustedCommit→ resolve ─Resolution→ choose ─Target→ plan ─Plan→ permit ─PermittedPlan→
    apply ─Outcome→ confirm ─Applied→ record → probe ─Health→ trial ┬→ prune ─Pruned→ probe → trial ┬→ remember
                                                                    └─ harm: back to the last good ─┤  collect_garbage
                                                                       harm: back to the last good ─┘  report
    and at the very end, where the host needs it and may, a reboot, or the switch to another version of the agent

Each step is a module of ``agent.steps`` named like it. ``select_target`` strings together those up to the Target,
``converge`` those up to the record, ``judge_trial`` those up to the end of the trial. ``updating`` is about the agent
itself, and ``wiring`` hands in the real things they work on. A step that fails leaves the host on what it had: without
the remote, on the newest commit that is trusted; without a usable commit, on the one aimed at before. Its account
is reported, whatever happened.
"""

from __future__ import annotations

import dataclasses

from agent import updating
from agent.converge import converge
from agent.domain.account import Account, Milestone, Reboot, Trigger
from agent.errors import HostwrightError
from agent.judge_trial import judge_removal, judge_trial, mark_crashed_attempts, remove_what_left
from agent.parts import Parts
from agent.select_target import select_target
from agent.steps.choose import Target
from agent.steps.collect_garbage import collect_garbage
from agent.steps.confirm import failures
from agent.steps.probe import baseline_failed_units, probe
from agent.steps.reboot import reboot
from agent.steps.remember import remember


def run(parts: Parts, trigger: Trigger) -> Account:
    """One whole cycle. The caller holds the lock. Expected failures end up in the account, they are not raised."""
    account = Account(clock=parts.clock, failures=[*parts.healed])
    if parts.unusable is not None:
        return _only_told(parts, account, parts.unusable)
    chosen: Target | None = None
    with account.surviving():
        account.forgiven = baseline_failed_units(parts.memory.state().failed_at_first)
    with account.surviving():
        mark_crashed_attempts(parts)
    with account.surviving():
        chosen = select_target(parts, account)
        account.reached(Milestone.AIMED)
        if chosen is not None:
            converge(parts, account, chosen, trigger)
    with account.surviving():
        account.failures.extend(failures(account))
    with account.surviving():
        judge_trial(parts, account)
    with account.surviving():
        if chosen is not None:
            remove_what_left(parts, account, chosen, trigger)
    with account.surviving():
        if chosen is not None and judge_removal(parts, account):
            remove_what_left(parts, account, chosen, trigger)
    with account.surviving():
        account.reboot = _reboot(parts, account, trigger)
    with account.surviving():
        updating.plan_update(parts, account, trigger)
    with account.surviving():
        remember(
            account,
            memory=parts.memory,
            journal=parts.journal,
            exports=parts.exports,
            events=parts.events,
            commands=parts.paths.commands,
            now=parts.clock(),
        )
    with account.surviving():
        parts.ensure_webhook_service(parts.memory.state().fleet.webhook)
    with account.surviving():
        collect_garbage(
            account.trusted,
            memory=parts.memory,
            mirror=parts.mirror,
            inventory=parts.settings.inventory,
            repositories=parts.repositories,
        )
    with account.surviving():
        parts.reporter.report(account)
    with account.surviving():
        if account.reboot is not None and account.reboot.hold is None:
            # Written down first: what does not know that it was rebooted would be so again and again.
            parts.memory.keep_state(dataclasses.replace(parts.memory.state(), rebooted=parts.clock()))
            parts.reboot()
    with account.surviving():
        # Only now is it known whether the report was sent.
        why = account.cause
        cause = (why.kind, why.message, why.hint) if why is not None else ("", "", "")
        parts.memory.keep_state(dataclasses.replace(parts.memory.state(), exit=int(account.exit), cause=cause))
    with account.surviving():
        updating.finish_update(parts, account, trigger)
    return account


def _reboot(parts: Parts, account: Account, trigger: Trigger) -> Reboot | None:
    state = parts.memory.state()
    return reboot(
        account,
        allowed=(account.fleet or state.fleet).reboots,
        rebooted=state.rebooted,
        pending=parts.memory.trial() is not None,
        trigger=trigger,
        now=parts.clock(),
    )


def _only_told(parts: Parts, account: Account, why: HostwrightError) -> Account:
    """The account of a cycle that does nothing, for what it did could not be remembered."""
    account.failures.append(why)
    with account.surviving():
        account.health = probe(parts.paths.var, parts.memory.state().failed_at_first or ())
    with account.surviving():
        parts.reporter.report(account)
    return account
