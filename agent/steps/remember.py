"""remember: turns the account of a cycle into what the host keeps for the next one, and removes what nobody needs any
more: exports, desired states, and files of other repositories.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path

from agent.deploys.command.host import forget_others
from agent.domain.account import Account
from agent.domain.desired import DesiredState
from agent.domain.host_phase import host_phase
from agent.domain.memory import LONGEST_BACKOFF_S, ON_REMOVE, AdoptedCommit, Applied, Attempt, State
from agent.domain.outcome import Status
from agent.domain.plan import HoldKind
from agent.domain.removal import Pruned
from agent.errors import Exit
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedStates
from agent.host.state import Memory
from agent.steps.derive_events import derive_events
from agent.system.systemd import UNTOLD

FIRST_BACKOFF_S = 60
"""Seconds until a failing deploy is tried again. The wait doubles each time, up to half an hour: often enough to heal
by itself when a mirror comes back, rarely enough not to hammer it."""

ERROR_KEPT = 300
"""Characters that are kept of the reason why a deploy failed."""


def remember(
    account: Account,
    *,
    memory: Memory,
    journal: Journal,
    exports: Exports,
    resolved: ResolvedStates,
    repositories: Repositories,
    events: Events,
    commands: Path,
    now: int,
) -> None:
    """Write down what the next cycle needs of the ``account``. Raises OSError when the disk does not take it; the old
    documents stand then.

    ``commands``: the folder where it is noted which commands have run.
    """
    before, state = memory.applied(), memory.state()
    after = applied_after(before, account, now)
    news, told = derive_events(account, before, state.told, now)
    events.add(news)
    if account.after is not None:
        enforced = account.state.enforced if account.state is not None else ()
        journal.compact(frozenset(deploy.deploy for deploy in account.after.deploys if not deploy.in_sync), enforced)
        memory.keep_applied(after)
    state = dataclasses.replace(state_after(state, account, now), told=told)
    memory.keep_state(state)
    trusted = account.trusted.sha if account.trusted is not None else None
    commits = frozenset(filter(None, (trusted, state.aimed_commit, after.commit, after.good_commit)))
    needed = commits.union(each.on_remove.commit for each in after.deploys.values() if each.on_remove is not None)
    exports.collect(needed)
    resolved.collect(needed)
    _collect_repositories(commits, resolved, repositories)
    if account.state is not None:
        keys = (resource.key.partition(":") for deploy in account.state.deploys for resource in deploy.resources)
        forget_others({name for kind, _, name in keys if kind == "command"}, commands)


def _collect_repositories(commits: Collection[str], resolved: ResolvedStates, repositories: Repositories) -> None:
    """Remove the files of other repositories that none of ``commits`` pins in its lock.yaml. Where the resolved state
    of one of them is not kept, nobody knows what it pins: then none is removed. Raises OSError."""
    if repositories.any:
        found = [resolved.find(sha) for sha in commits]
        known = [each.terms.kept for each in found if each is not None]
        if len(known) == len(found):
            repositories.collect(frozenset(chain.from_iterable(known)))


def state_after(state: State, account: Account, now: int) -> State:
    """The state of the host after this cycle."""
    wanted = account.state
    return dataclasses.replace(
        state,
        aimed_commit=wanted.commit if wanted else state.aimed_commit,
        aimed_digest=wanted.digest if wanted else state.aimed_digest,
        attempts=attempts_after(state.attempts, account, wanted, now) if wanted else state.attempts,
        phase=host_phase(account),
        pruned=wanted.commit if wanted and account.pruned is not None and account.pruned.settled else state.pruned,
        ended_at=now,
        cycles=state.cycles + 1,
        fleet=account.fleet or state.fleet,
        refused=next((failure.message for failure in account.failures if failure.exit is Exit.TRUST), ""),
        failed_at_first=_failed_since(account),
    )


def _failed_since(account: Account) -> tuple[str, ...] | None:
    """The units that had failed at first and have failed ever since: one that got well counts when it fails again. None
    if systemd did not say at first. If it does not say now, all of them."""
    if UNTOLD in account.failed_at_first:
        return None
    failed = account.health.failed_units if account.health is not None else (UNTOLD,)
    return tuple(unit for unit in account.failed_at_first if unit in failed or UNTOLD in failed)


def applied_after(applied: Applied, account: Account, now: int) -> Applied:
    """``applied`` with what this cycle confirmed. The commit and digest change, and a commit is adopted, only when the
    whole state is applied."""
    state = account.state
    if account.after is not None:
        departed = account.pruned.departed if account.pruned is not None else ()
        deploys = {name: deploy for name, deploy in account.applied.items() if name not in departed}
        applied = dataclasses.replace(applied, deploys=deploys)
    if state is None or not account.whole:
        return dataclasses.replace(applied, adopted=_update_soak(applied.adopted, well=False, now=now))
    sound = not (account.stuck or account.unsettled)
    sound = sound and not any(failure.exit is Exit.DEPLOY for failure in account.lasting)
    well = sound and (account.health is None or account.health.healthy)
    # What failed before a change counts neither against it nor against going back to it. A host with a unit that never
    # starts would otherwise go back behind all changes since that unit failed.
    confirmed = account.trial is not None and account.rollback is None and account.health is not None
    good = well or (sound and confirmed)
    # Removals are on the trial of their commit: until they may go, the last good state is an older commit.
    good = good and not (account.pruned is not None and account.pruned.waits and account.pruned.leaving.due)
    adopted = applied.adopted
    if not adopted or adopted[-1].sha != state.commit:
        adopted = (*_end(adopted, now), AdoptedCommit(state.commit, now))
    return dataclasses.replace(
        applied,
        commit=state.commit,
        digest=state.digest,
        good=state.digest if good else applied.good,
        good_commit=state.commit if good else applied.good_commit,
        adopted=_update_soak(adopted, well=well, now=now),
    )


def attempts_after(
    attempts: Mapping[str, Attempt], account: Account, state: DesiredState, now: int
) -> dict[str, Attempt]:
    """The failures in a row of each deploy after this cycle, and those of the ``on_remove`` of each that has left.
    Success, a new digest or leaving Git deletes them."""
    pruned = account.pruned or Pruned()
    kept: dict[str, Attempt] = {}

    def keep(key: str, digest: str, why: str | None, *, well: bool) -> None:
        before = attempts.get(key)
        before = before if before is not None and before.digest == digest else None
        if why is not None:
            kept[key] = _failed_again(before, digest, why, now)
        elif before is not None and not well:
            kept[key] = before

    for deploy in state.deploys:
        if _waits(account, deploy.name):
            keep(deploy.name, deploy.digest, None, well=False)
        else:
            why = account.why_failed(deploy.name)
            keep(deploy.name, deploy.digest, why, well=_healed(account, deploy.name))
    there = {deploy.name for deploy in state.deploys}
    for name, applied in account.applied.items():
        if applied.on_remove is not None and name not in there:
            why = pruned.stayed.get(name)
            keep(f"{ON_REMOVE}{name}", applied.on_remove.commit, why, well=name in pruned.departed)
    return kept


def _failed_again(before: Attempt | None, digest: str, why: str, now: int) -> Attempt:
    failures = 1 + (before.failures if before else 0)
    delay = min(FIRST_BACKOFF_S * 2 ** (failures - 1), LONGEST_BACKOFF_S)
    return Attempt(digest, failures, now + delay, why.partition("\n")[0][:ERROR_KEPT])


def _waits(account: Account, deploy: str) -> bool:
    """True if the deploy is in backoff: this cycle learned nothing new of it. (A deploy that needs it waits too,
    without a count.)"""
    hold = account.permitted.deploy_holds.get(deploy) if account.permitted is not None else None
    return hold is not None and hold.kind is HoldKind.BACKOFF


def _healed(account: Account, deploy: str) -> bool:
    if account.outcome.status(deploy) is Status.DONE:
        return True
    plans = account.after.deploys if account.after is not None else ()
    return any(planned.deploy == deploy and planned.in_sync for planned in plans)


def _update_soak(adopted: tuple[AdoptedCommit, ...], *, well: bool, now: int) -> tuple[AdoptedCommit, ...]:
    if not adopted:
        return adopted
    last = adopted[-1]
    if well and last.well_since is None:
        last = dataclasses.replace(last, well_since=now)
    elif not well:
        last = dataclasses.replace(last, well_since=None, soaked_s=0)
    return (*adopted[:-1], last)


def _end(adopted: tuple[AdoptedCommit, ...], now: int) -> tuple[AdoptedCommit, ...]:
    if not adopted:
        return adopted
    last = adopted[-1]
    return (*adopted[:-1], dataclasses.replace(last, well_since=None, soaked_s=last.soaked(now)))
