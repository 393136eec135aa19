"""compose: the report of a cycle, made from its account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from agent.domain import codec
from agent.domain.account import Account
from agent.domain.event import Event
from agent.domain.host_phase import HostPhase
from agent.domain.memory import Applied
from agent.domain.outcome import Status
from agent.domain.ownership import LedgerEntry, Standing
from agent.domain.plan import Change, DeployPlan, Hold
from agent.domain.removal import Pruned
from agent.domain.report import LATEST, Report, ReportedHealth
from agent.domain.status import REPORT_LIMIT, encode
from agent.domain.text import some

EVENTS_TOLD = 20

Section = dict[str, Any]
"""A part of the report, as its class is made from it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a report. ``items``: of each long list. ``text``: characters of one text. ``deploys``: of the list of
    deploys. ``problem``: characters of a text in a problem."""

    items: int
    text: int
    deploys: int | None = None

    @property
    def problem(self) -> int:
        return 4 * self.text


REPORT_BOUNDS = (Bounds(200, 1000), Bounds(200, 160), Bounds(50, 160), Bounds(10, 80), Bounds(10, 80, deploys=100))
"""The bounds to try, the widest first, until the report is no longer than readers take."""
_LONG_LISTS = frozenset({"changes", "holds", "problems", "prune_held", "orphaned", "released"}) | frozenset(
    {"not_idempotent", "complaints", "notes", "failed_units"}
)
"""The fields that are cut to ``items``."""
_MOMENTS = frozenset({"at", "next_due", "until"})
"""The fields that are set to the nearest moment that readers take. A wrong clock or a damaged document may have put any
number there."""


@dataclass(frozen=True, slots=True)
class ReportMeta:
    """The parts of a report that do not come from a cycle: the host, the time, and when the next report is due, in
    seconds since the epoch."""

    host: str
    inventory: str
    agent_version: str
    sequence: int
    at: int
    next_due: int
    bad: tuple[str, ...] = ()
    """The digests that this host does not aim at again."""
    counts: bool = True
    """True if the report tells how many lines a change adds and removes."""


def compose(account: Account, phase: HostPhase, applied: Applied, events: Iterable[Event], meta: ReportMeta) -> Report:
    """The report of ``account``, of at most REPORT_LIMIT bytes. ``applied``: the memory of the host after the cycle."""
    whole = _sections(account, applied, tuple(events), meta)
    names = {"host": meta.host, "inventory": meta.inventory, "agent_version": meta.agent_version, "phase": phase}
    reports = (codec.from_plain(names | _bounded(whole, bounds, bounds.text), Report) for bounds in REPORT_BOUNDS)
    report = next(reports)
    while len(encode(report)) > REPORT_LIMIT:
        report = next(reports)
    return report


def _sections(account: Account, applied: Applied, events: Sequence[Event], meta: ReportMeta) -> Section:
    """All fields of the report but the names and the phase, not cut yet."""
    changes = [change for planned in account.planned for change in planned.changes]
    pruned = account.pruned or Pruned()
    return {
        "sequence": meta.sequence,
        "at": meta.at,
        "next_due": meta.next_due,
        "commits": _commits(account),
        "digests": {
            "aimed": account.state.digest if account.state else None,
            "applied": applied.digest,
            "good": applied.good,
            "bad": meta.bad,
        },
        "adopted": [
            {"sha": adopted.sha, "at": adopted.at, "soaked_s": adopted.soaked(meta.at)} for adopted in applied.adopted
        ],
        "deploys": _deploys(account),
        "changes": [_change(account, change, meta.counts) for change in changes[: REPORT_BOUNDS[0].items]],
        "changes_total": len(changes),
        "holds": _holds(account),
        "problems": [failure.document() for failure in account.failures],
        "unowned": sum(planned.unowned for planned in account.after.deploys) if account.after is not None else 0,
        "prune_held": [_resource(each.entry, each.hold.reason) for each in pruned.leaving.removals if each.hold],
        "orphaned": [
            _resource(entry, entry.reason) for entry in pruned.standing if entry.standing is Standing.ORPHANED
        ],
        "released": [
            _resource(entry, entry.reason) for entry in pruned.standing if entry.standing is Standing.RELEASED
        ],
        "health": account.health and _taken(ReportedHealth, account.health),
        "events": [
            {"at": event.at, "kind": event.kind, "message": _headline(event)} for event in events[-EVENTS_TOLD:]
        ],
    }


def _bounded(value: Any, bounds: Bounds, text: int) -> Any:
    """``value`` with lists and texts cut to ``bounds``, and bytes that are not UTF-8 escaped: names of files may have
    some. ``text``: characters of one text."""
    if isinstance(value, str):
        short = value if len(value) <= text else f"{value[: text - 1]}…"
        return short.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {name: _bounded_field(name, item, bounds, text) for name, item in value.items()}
    return [_bounded(item, bounds, text) for item in value] if isinstance(value, (list, tuple)) else value


def _bounded_field(name: str, value: Any, bounds: Bounds, text: int) -> Any:
    if name in _MOMENTS and value is not None:
        return min(max(value, 0), LATEST)
    short = value[: bounds.items] if name in _LONG_LISTS else value
    if name == "deploys":  # those that are no news are left out first
        news_first = sorted(value, key=lambda deploy: str(deploy["status"]) == "in-sync")
        short = value if bounds.deploys is None else news_first[: bounds.deploys]
    return _bounded(short, bounds, bounds.problem if name == "problems" else text)


def _commits(account: Account) -> Section:
    trusted = account.trusted
    left_out = [f"without {some(account.left_out, 3)}"] if account.left_out else []
    return {
        "seen": account.fetched.sha if account.fetched else None,
        "trusted": trusted.sha if trusted else None,
        "aimed": account.state.commit if account.state else None,
        "signer": trusted.signer.principal if trusted and trusted.signer else None,
        "tag": trusted.tag.name if trusted and trusted.tag else None,
        "note": "; ".join([*([trusted.note] if trusted.note else []), *left_out]) if trusted else "",
    }


def _deploys(account: Account) -> list[Section]:
    planned = {plan.deploy: plan for plan in account.planned}
    outcomes = {outcome.deploy: outcome for outcome in account.outcome.deploys}
    reported = []
    for deploy in account.state.deploys if account.state is not None else ():
        outcome = outcomes.get(deploy.name)
        status, error = _plan_status(planned.get(deploy.name))
        if outcome is not None and outcome.status is not Status.HELD:
            status, error = outcome.status.value, outcome.error
        elif status == "wanted" and _hold(account, deploy.name) is not None:
            status = "held"
        applied = account.applied.get(deploy.name)
        repeated = applied.not_idempotent if applied is not None else ()
        reported.append(
            {"name": deploy.name, "kind": deploy.kind, "digest": deploy.digest, "status": status, "error": error}
            | {"not_idempotent": repeated}
        )
    return reported


def _plan_status(plan: DeployPlan | None) -> tuple[str, str]:
    if plan is None:
        return "unknown", ""
    if plan.error is not None:
        return "error", plan.error
    if plan.unknown is not None:
        return "unknown", plan.unknown
    return ("in-sync" if plan.in_sync else "wanted"), ""


def _change(account: Account, change: Change, counts: bool) -> Section:
    done = (deploy.results for deploy in account.outcome.deploys if deploy.deploy == change.deploy)
    result = next((each for results in done for each in results if each.resource == change.resource), None)
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
    return {
        "deploy": change.deploy,
        "resource": change.resource,
        "operation": change.wanted.operation,
        "cause": change.cause.value,
        "state": state,
        "added": change.wanted.lines_added if counts else 0,
        "removed": change.wanted.lines_removed if counts else 0,
        "reason": reason,
    }


def _hold(account: Account, deploy: str) -> Hold | None:
    return account.permitted.deploy_holds.get(deploy) if account.permitted is not None else None


def _holds(account: Account) -> list[Section]:
    """Each hold once, with the names of the deploys that wait for it, unless it holds the whole commit."""
    held: dict[Hold, list[str]] = {} if account.hold is None else {account.hold: []}
    if account.permitted is not None:
        for name, hold in account.permitted.deploy_holds.items():
            held.setdefault(hold, []).append(name)
        for change in (held_change.change for held_change in account.permitted.held):
            if change.waits is not None and change.deploy not in held.setdefault(change.waits, []):
                held[change.waits].append(change.deploy)
    for hold in (*(account.pruned or Pruned()).leaving.holds, *account.ending_holds):
        held.setdefault(hold, [])
    return [
        {
            "kind": hold.kind,
            "reason": f"{', '.join(names)}: {hold.reason}" if names and hold != account.hold else hold.reason,
            "until": hold.until,
        }
        for hold, names in held.items()
    ]


def _resource(entry: LedgerEntry, reason: str) -> Section:
    return {"resource": entry.key, "deploy": entry.deploy, "reason": reason}


def _taken(part: Any, value: object) -> Section:
    """The section for the class ``part``: its fields, with the values of the same fields of ``value``."""
    found = {field.name: getattr(value, field.name) for field in fields(part)}
    return {name: _taken(type(item), item) if is_dataclass(item) else item for name, item in found.items()}


def _headline(event: Event) -> str:
    """An event in one line, the first of its message. The other lines, such as output of a command, stay on the
    host."""
    first = event.message.partition("\n")[0]
    return f"{event.resource}: {first}" if event.resource else first


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
