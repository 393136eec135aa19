"""compose: turns the account of a cycle into the report that others read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from agent.domain.account import Account
from agent.domain.event import Event
from agent.domain.health import Health
from agent.domain.memory import Applied
from agent.domain.outcome import OperationResult, Status
from agent.domain.ownership import LedgerEntry, Standing
from agent.domain.plan import Change, DeployPlan, Hold
from agent.domain.report import (
    LATEST,
    Adoption,
    Commits,
    Digests,
    Phase,
    Problem,
    Report,
    ReportedChange,
    ReportedDeploy,
    ReportedEvent,
    ReportedHealth,
    ReportedHold,
    ReportedResource,
    ReportedVitals,
)
from agent.domain.status import REPORT_LIMIT, encode
from agent.domain.text import some
from agent.errors import HostwrightError

EVENTS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a report says: ``items`` of each long list, ``text`` characters of one message."""

    items: int
    text: int


BOUNDS = (Bounds(200, 1000), Bounds(200, 160), Bounds(50, 160), Bounds(10, 80))
"""The first with which a report is not longer than readers take: what says less is better than what nobody reads."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a report says besides the cycle: who sends it, when, and when the next one is due."""

    host: str
    inventory: str
    agent_version: str
    sequence: int
    at: int
    next_due: int
    bad: tuple[str, ...] = ()
    """Digests that this host does not aim at again."""
    counts: bool = True
    """Whether it says how many lines a change adds and removes."""


def compose(account: Account, phase: Phase, applied: Applied, events: Iterable[Event], envelope: Envelope) -> Report:
    """The report of ``account``; ``applied`` is what the host remembers after it. Never longer than REPORT_LIMIT."""
    told = tuple(events)
    reports = (_composed(account, phase, applied, told, envelope, bounds=bounds) for bounds in BOUNDS)
    report = next(reports)
    while len(encode(report)) > REPORT_LIMIT:
        report = next(reports)
    return report


def _composed(
    account: Account, phase: Phase, applied: Applied, events: Sequence[Event], envelope: Envelope, *, bounds: Bounds
) -> Report:
    changes = tuple(change for planned in account.planned for change in planned.changes)
    return Report(
        host=envelope.host,
        inventory=envelope.inventory,
        agent_version=envelope.agent_version,
        sequence=envelope.sequence,
        at=_instant(envelope.at),
        next_due=_instant(envelope.next_due),
        phase=phase,
        commits=_commits(account, bounds),
        digests=Digests(
            aimed=account.state.digest if account.state else None,
            applied=applied.digest,
            good=applied.good,
            bad=envelope.bad,
        ),
        adopted=tuple(
            Adoption(sha=adopted.sha, at=_instant(adopted.at), soaked_s=adopted.soaked(envelope.at))
            for adopted in applied.adopted
        ),
        deploys=_deploys(account, bounds),
        changes=tuple(_change(account, change, envelope.counts, bounds) for change in changes[: bounds.items]),
        changes_total=len(changes),
        holds=_holds(account, bounds),
        problems=tuple(_problem(failure, bounds) for failure in account.failures[: bounds.items]),
        unowned=sum(planned.unowned for planned in account.after.deploys) if account.after is not None else 0,
        prune_held=_prune_held(account, bounds),
        orphaned=_standing(account, Standing.ORPHANED, bounds),
        released=_standing(account, Standing.RELEASED, bounds),
        health=_health(account.health, bounds) if account.health is not None else None,
        events=tuple(
            ReportedEvent(
                at=_instant(event.at),
                kind=_short(event.kind, bounds.text),
                message=_short(_headline(event), bounds.text),
            )
            for event in events[-EVENTS_TOLD:]
        ),
    )


def _commits(account: Account, bounds: Bounds) -> Commits:
    trusted = account.trusted
    signer, tag = (trusted.signer, trusted.tag) if trusted else (None, None)
    return Commits(
        seen=account.fetched.sha if account.fetched else None,
        trusted=trusted.sha if trusted else None,
        aimed=account.state.commit if account.state else None,
        signer=_short(signer.principal, bounds.text) if signer else None,
        tag=_short(tag.name, bounds.text) if tag else None,
        note=_short("; ".join((*((trusted.note,) if trusted.note else ()), *_left_out(account.left_out))), bounds.text)
        if trusted
        else "",
    )


def _left_out(names: Sequence[str]) -> Iterable[str]:
    if names:
        yield f"without {some(names, 3)}"


def _deploys(account: Account, bounds: Bounds) -> tuple[ReportedDeploy, ...]:
    if account.state is None:
        return ()
    planned = {plan.deploy: plan for plan in account.planned}
    outcomes = {outcome.deploy: outcome for outcome in account.outcome.deploys}
    reported = []
    for deploy in account.state.deploys:
        plan, outcome = planned.get(deploy.name), outcomes.get(deploy.name)
        status, error = _plan_status(plan)
        if outcome is not None and outcome.status is not Status.HELD:
            status, error = outcome.status.value, outcome.error
        elif status == "wanted" and account.permitted is not None and deploy.name in account.permitted.deploy_holds:
            status = "held"
        applied = account.applied.get(deploy.name)
        repeated = applied.not_idempotent if applied is not None else ()
        reported.append(
            ReportedDeploy.model_validate(
                {
                    "name": deploy.name,
                    "kind": deploy.kind,
                    "digest": deploy.digest,
                    "status": status,
                    "error": _short(error, bounds.text),
                    "not_idempotent": tuple(_short(resource, bounds.text) for resource in repeated[: bounds.items]),
                }
            )
        )
    return tuple(reported)


def _plan_status(plan: DeployPlan | None) -> tuple[str, str]:
    if plan is None:
        return "unknown", ""
    if plan.error is not None:
        return "error", plan.error
    if plan.unknown is not None:
        return "unknown", plan.unknown
    return ("in-sync" if plan.in_sync else "wanted"), ""


def _change(account: Account, change: Change, counts: bool, bounds: Bounds) -> ReportedChange:
    result = _result(account, change)
    hold = _hold(account, change.deploy)
    if result is not None:
        state, reason = ("done", change.set_off) if result.succeeded else ("failed", _last_line(result.error))
    elif hold is not None:
        state, reason = "held", hold.reason
    elif account.outcome.status(change.deploy) is Status.STOPPED:
        state, reason = "stopped", ""
    else:
        state, reason = "wanted", change.set_off
    counts = counts and not change.wanted.private
    return ReportedChange.model_validate(
        {
            "deploy": change.deploy,
            "resource": _short(change.resource, bounds.text),
            "operation": _short(change.wanted.operation, bounds.text),
            "cause": change.cause.value,
            "state": state,
            "added": change.wanted.lines_added if counts else 0,
            "removed": change.wanted.lines_removed if counts else 0,
            "reason": _short(reason, bounds.text),
        }
    )


def _result(account: Account, change: Change) -> OperationResult | None:
    return next(
        (
            result
            for deploy in account.outcome.deploys
            if deploy.deploy == change.deploy
            for result in deploy.results
            if result.resource == change.resource
        ),
        None,
    )


def _hold(account: Account, deploy: str) -> Hold | None:
    return account.permitted.deploy_holds.get(deploy) if account.permitted is not None else None


def _holds(account: Account, bounds: Bounds) -> tuple[ReportedHold, ...]:
    """Each hold once, with the deploys that wait for it, where it is not on all of them."""
    held: dict[Hold, list[str]] = {} if account.hold is None else {account.hold: []}
    if account.permitted is not None:
        for name, hold in account.permitted.deploy_holds.items():
            held.setdefault(hold, []).append(name)
    for hold in (*(account.pruned.leaving.holds if account.pruned is not None else ()), *account.put_off):
        held.setdefault(hold, [])
    return tuple(
        ReportedHold(
            kind=_short(hold.kind, bounds.text),
            reason=_short(_held(hold, [] if hold == account.hold else names), bounds.text),
            until=_until(hold),
        )
        for hold, names in list(held.items())[: bounds.items]
    )


def _held(hold: Hold, deploys: Sequence[str]) -> str:
    return f"{', '.join(deploys)}: {hold.reason}" if deploys else hold.reason


def _until(hold: Hold) -> int | None:
    return None if hold.until is None else _instant(hold.until)


def _prune_held(account: Account, bounds: Bounds) -> tuple[ReportedResource, ...]:
    removals = account.pruned.leaving.removals if account.pruned is not None else ()
    held = [(removal.entry, removal.hold.reason) for removal in removals if removal.hold is not None]
    return _resources(held, bounds)


def _standing(account: Account, standing: Standing, bounds: Bounds) -> tuple[ReportedResource, ...]:
    entries = account.pruned.standing if account.pruned is not None else ()
    return _resources([(entry, entry.reason) for entry in entries if entry.standing is standing], bounds)


def _resources(told: Sequence[tuple[LedgerEntry, str]], bounds: Bounds) -> tuple[ReportedResource, ...]:
    return tuple(
        ReportedResource(
            resource=_short(entry.key, bounds.text),
            deploy=_short(entry.deploy, bounds.text),
            reason=_short(reason, bounds.text),
        )
        for entry, reason in told[: bounds.items]
    )


def _problem(failure: HostwrightError, bounds: Bounds) -> Problem:
    return Problem.model_validate(
        {
            "kind": failure.kind,
            "message": _short(failure.message, 4 * bounds.text),
            "hint": _short(failure.hint, 4 * bounds.text),
            "consequence": failure.consequence.value,
            "exit": int(failure.exit),
        }
    )


def _health(health: Health, bounds: Bounds) -> ReportedHealth:

    def told(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(_short(text, bounds.text) for text in texts[: bounds.items])

    return ReportedHealth(
        healthy=health.healthy,
        complaints=told(health.complaints),
        notes=told(health.notes),
        failed_units=told(health.failed_units),
        reboot_required=health.reboot_required,
        vitals=ReportedVitals(**asdict(health.vitals)),
    )


def _headline(event: Event) -> str:
    """What an event is about, in one line. What a command wrote stays on the host, but for the line that says why."""
    first = event.message.partition("\n")[0]
    return f"{event.resource}: {first}" if event.resource else first


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _instant(at: int) -> int:
    """The nearest moment that readers take: a clock, or a document from before a disk failed, may say anything."""
    return min(max(at, 0), LATEST)


def _short(text: str, limit: int) -> str:
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return short.encode(errors="backslashreplace").decode()  # names of files on a host need not be UTF-8
