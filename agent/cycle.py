"""The agent on one page: what one cycle does, in order. Start reading here.

    fetch ─Commit→ verify ─TrustedCommit→ resolve ─Resolution→ choose ─Aim→ plan ─Plan→ permit ─PermittedPlan→
    apply ─Outcome→ confirm ─Applied→ own (settle) → probe ─Health→ prune ─Pruned→ remember → keep → report (always)

Each step is a module of ``agent.steps`` named like it; ``wiring`` hands in the real things they work on. A step that
fails leaves the host on what it had: without the remote, on the newest commit that is trusted; without a usable
commit, on the one aimed at before. Whatever happened, the account of it is reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.domain.account import Account, Trigger
from agent.domain.commit import TrustedCommit
from agent.domain.memory import TrustRecord
from agent.domain.plan import Hold, Plan
from agent.engine.client import Engine
from agent.errors import HostwrightError
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.steps.apply import Progress, apply
from agent.steps.choose import Aim, choose, suspension
from agent.steps.confirm import confirm, failures
from agent.steps.fetch import fetch
from agent.steps.keep import keep
from agent.steps.own import settle
from agent.steps.permit import permit, rules_for
from agent.steps.plan import make_plan
from agent.steps.probe import forgiven, probe
from agent.steps.prune import Farewell, prune
from agent.steps.remember import remember
from agent.steps.resolve import Resolution, fleet_settings, resolve
from agent.steps.verify import recall, verify
from agent.system.git import Mirror


class Reporter(Protocol):
    """Where accounts go; ``steps.report`` is the real one."""

    def attempting(self, account: Account) -> None:
        """Says that an intended change is about to be applied. Best effort: silence afterwards is a signal."""

    def report(self, account: Account) -> None:
        """Sends the account of a whole cycle, or keeps it to be sent. Raises ReportError when it was not sent."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The real things that the steps work on."""

    paths: Paths
    settings: Settings
    memory: Memory
    mirror: Mirror
    exports: Exports
    repositories: Repositories
    engine: Engine
    journal: Journal
    ledger: Ledger
    events: Events
    reporter: Reporter
    progress: Progress
    clock: Callable[[], int]
    """Seconds since the epoch."""
    healed: tuple[HostwrightError, ...] = ()
    """What had to be put right before a cycle could begin."""


def run(parts: Parts, trigger: Trigger) -> Account:
    """One whole cycle. The caller holds the lock. Expected failures end up in the account, they are not raised."""
    account = Account(failures=[*parts.healed])
    aim: Aim | None = None
    with account.surviving():
        account.forgiven = forgiven(parts.memory.state().failed_at_first)
    with account.surviving():
        aim = _converge(parts, account, trigger)
    account.failures.extend(failures(account))
    with account.surviving():
        account.health = probe(parts.paths.var, account.forgiven)
    with account.surviving():
        if aim is not None:
            _prune(parts, account, aim, trigger)
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
        keep(
            account.trusted,
            memory=parts.memory,
            mirror=parts.mirror,
            inventory=parts.settings.inventory,
            repositories=parts.repositories,
        )
    with account.surviving():
        parts.reporter.report(account)
    with account.surviving():
        # Only now is it known whether the report was sent.
        parts.memory.keep_state(dataclasses.replace(parts.memory.state(), exit=int(account.exit)))
    return account


def _converge(parts: Parts, account: Account, trigger: Trigger) -> Aim | None:
    before = parts.memory.applied()
    aim = _aim(parts, account, before.commit)
    if aim is None:
        return None
    state, account.hold = aim.resolution.state, aim.hold or aim.suspension
    account.state = state
    root = parts.exports.folder(aim.resolution.commit)
    rules = rules_for(
        state,
        suspension=aim.suspension,
        attempts=parts.memory.state().attempts,
        now=parts.clock(),
        patient=trigger is Trigger.CLOCK,
    )

    def plan_now() -> Plan:
        return make_plan(
            state,
            engine=parts.engine,
            root=root,
            applied=before.deploys,
            interrupted=parts.journal.interrupted(),
        )

    account.plan = plan_now()
    account.permitted = permit(account.plan, rules)
    if not account.permitted.allowed:
        account.after = account.plan
    else:
        if account.permitted.intends:
            parts.reporter.attempting(account)
        account.outcome = apply(
            account.permitted,
            state,
            engine=parts.engine,
            root=root,
            rules=rules,
            applied=before.deploys,
            journal=parts.journal,
            ledger=parts.ledger,
            progress=parts.progress,
            now=parts.clock(),
        )
        account.after = plan_now()
    account.applied = confirm(state, account.after, account.outcome, before.deploys)
    settle(parts.ledger, state, account.outcome, account.after, account.applied, now=parts.clock())
    return aim


def _prune(parts: Parts, account: Account, aim: Aim, trigger: Trigger) -> None:
    last = account.trusted or aim.resolution.commit
    account.pruned = prune(
        account,
        before=parts.memory.applied(),
        idle=aim.resolution.environment.idle(),
        memory=parts.memory.state(),
        ledger=parts.ledger,
        farewell=Farewell(
            parts.engine, parts.exports, parts.mirror, parts.progress, last.sha, parts.settings.inventory
        ),
        now=parts.clock(),
        patient=trigger is Trigger.CLOCK,
    )
    account.failures.extend(account.pruned.failures)


def _aim(parts: Parts, account: Account, applied: str | None) -> Aim | None:
    """The newest commit that is trusted and can be read; else, or while suspended, the one aimed at before: it may
    not be applied as a whole, but going back behind it would undo what is."""
    candidate = current = None
    record = parts.memory.trust()
    with account.surviving():
        account.trusted = _newest_trusted(parts, account, record)
    if account.trusted is not None:
        with account.surviving():
            candidate = _resolve(parts, account.trusted)
            account.fleet = fleet_settings(candidate.environment)
    held = _suspension(parts, candidate)
    last = account.trusted.sha if account.trusted is not None else record.last
    before = parts.memory.state().aimed_commit or applied
    if before is not None and last is not None and (candidate is None or held is not None):
        with account.surviving():
            current = _resolve(parts, recall(before, mirror=parts.mirror, last=last))
            held = held or _suspension(parts, current)
    return choose(current, candidate, suspension=held)


def _newest_trusted(parts: Parts, account: Account, record: TrustRecord) -> TrustedCommit | None:
    """The newest commit of the remote where it is to be trusted, else the one trusted last, if there is one."""
    trusted: TrustedCommit | None = None
    with account.surviving():
        account.fetched = fetch(parts.mirror, parts.settings)
        trusted = verify(
            account.fetched,
            mirror=parts.mirror,
            inventory=parts.settings.inventory,
            mode=parts.settings.trust,
            last=record.last,
            min_commit=parts.settings.min_commit,
            anchors=parts.paths.trusted_signers,
            now=parts.clock(),
        )
        if trusted.sha != record.last:
            principal = trusted.signer.principal if trusted.signer else ""
            parts.memory.keep_trust(TrustRecord(trusted.sha, principal, parts.clock()))
    if trusted is None and record.last is not None:
        return recall(record.last, mirror=parts.mirror, last=record.last)
    return trusted


def _resolve(parts: Parts, commit: TrustedCommit) -> Resolution:
    tree = parts.mirror.tree(commit.sha)
    return resolve(
        commit,
        tree,
        inventory=parts.settings.inventory,
        host=parts.settings.host,
        repositories=parts.repositories.tree,
    )


def _suspension(parts: Parts, resolution: Resolution | None) -> Hold | None:
    now = parts.clock()
    environment = resolution.environment if resolution is not None else None
    return suspension(parts.memory.suspension(now), environment, parts.settings.host, now)
