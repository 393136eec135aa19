"""derive_events: turns the account of a cycle into the events worth remembering. Pure.

Something that happened makes an event each time. Something that lasts (a problem, a held change) makes one when it
begins, not every minute; one event tells when none of it is left.

Three kinds of events are written elsewhere, because they belong to no phase: ``report-given-up`` (``steps.report``),
``updated`` (``agent.ending``) and ``rescued`` (``host.versions``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import zip_longest

from agent.domain.account import Account, Milestone, Rollback
from agent.domain.digest import digest_of
from agent.domain.event import Event, EventKind
from agent.domain.memory import Applied
from agent.domain.outcome import OperationResult
from agent.domain.plan import Cause, Change
from agent.domain.removal import Fate, Leaving, Pruned
from agent.domain.text import plural
from agent.problems import ProblemKind

_DONE = {
    Cause.INTENDED: EventKind.APPLIED,
    Cause.DRIFT: EventKind.DRIFT_REPAIRED,
    Cause.NOT_IDEMPOTENT: EventKind.RUN_AGAIN,
    Cause.INTERRUPTED: EventKind.INTERRUPTED_RESUMED,
}


_FATES = {
    Fate.REMOVE: (EventKind.PRUNED, "removed, left Git"),
    Fate.ORPHAN: (EventKind.ORPHANED, "left Git, and stays"),
    Fate.RELEASE: (EventKind.RELEASED, "left Git; it was there before the agent and stays as it is"),
    Fate.FORGET: (EventKind.PRUNED, "was gone already"),
}

_KEYS_TOLD = 5
"""Keys in the event of one hold; the report has them all."""

_NUMBER = re.compile(r"\d+")

Times = Mapping[Milestone, int]


def derive_events(
    account: Account, before: Applied, told: Collection[str], now: int
) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """The events of this cycle, and the fingerprints of what lasts. The next cycle is given these as ``told``."""
    times = {stage: account.times.get(stage, now) for stage in Milestone}  # the end, where the cycle did not get there
    rollback = account.rollback
    events: list[Event] = []
    if rollback is not None and rollback.attempted is not None:
        events += _done(rollback.attempted, now)
        events += _pruned(rollback.attempted, rollback.attempted.times.get(Milestone.PRUNED, now))
    if account.outcome.changed:
        events += [Event(times[Milestone.PERMITTED], EventKind.WARNED, message) for message in account.warned]
    if account.evidence:
        lines = f"{len(account.evidence)} {plural('line', len(account.evidence))}"
        said = f"what happened here at that time, {lines}: a hint at who changed it, no proof"
        events.append(Event(times[Milestone.PERMITTED], EventKind.EVIDENCE, said, diff="\n".join(account.evidence)))
    events += _done(account, now)
    events += _taken_back(rollback, times[Milestone.WENT_BACK]) if rollback is not None else ()
    reached = account.whole and not account.stuck
    if reached and account.state is not None and before.commit != account.state.commit:
        events.append(Event(times[Milestone.JUDGED], EventKind.ADOPTED, f"reached commit {account.state.commit[:12]}"))
    events += _pruned(account, times[Milestone.PRUNED])
    if account.reboot is not None and account.reboot.hold is None:
        events.append(Event(now, EventKind.REBOOTING, "what was installed needs a reboot: the host goes down now"))
    standing = [*_problems(account, times, now), *_held(account, times, now)]
    events += [event for event in standing if _mark(event) not in told]
    if told and not standing:
        events.append(Event(now, EventKind.RECOVERED, "nothing is wrong or held any more"))
    events.sort(key=lambda event: event.at)
    return tuple(events), tuple(dict.fromkeys(_mark(event) for event in standing))


def _mark(event: Event) -> str:
    """Fingerprint of an event that lasts. The message counts only if the event has no subject, and without its digits:
    they may be the milliseconds that a connection took."""
    return digest_of([event.kind, event.deploy, event.resource, event.subject or _NUMBER.sub("#", event.message)])[:16]


def _done(account: Account, now: int) -> Iterator[Event]:
    kinds = _DONE if account.rollback is None else dict.fromkeys(Cause, EventKind.TAKEN_BACK)
    planned = {(change.deploy, change.resource): change for each in account.planned for change in each.changes}
    for deploy in account.outcome.deploys:
        for result, at in zip_longest(deploy.results, deploy.times[: len(deploy.results)]):
            change = planned.get((result.deploy, result.resource))
            kind = kinds[change.cause if change is not None else Cause.INTENDED]
            yield _result(result, change, kind, at or now)


def _taken_back(rollback: Rollback, at: int) -> Iterator[Event]:
    for removal in rollback.removed:
        message = removal.reason or "removed, the attempt had brought it"
        yield Event(at, EventKind.TAKEN_BACK, message, removal.entry.deploy, removal.entry.key)
    for line in rollback.stays:
        yield Event(at, EventKind.NOT_TAKEN_BACK, line)


def _pruned(account: Account, at: int) -> Iterator[Event]:
    pruned = account.pruned or Pruned()
    for name, source in pruned.departed.items():
        yield Event(at, EventKind.DEPARTED, f"left Git: {source} was run", name)
    for key in pruned.revoked:
        yield Event(at, EventKind.REVOKED, "left Git: its access to this host was taken away", resource=key)
    for removal in pruned.done:
        kind, message = _FATES[removal.fate]
        message = f"{message}: {removal.reason}" if removal.reason else message
        yield Event(at, kind, message, removal.entry.deploy, removal.entry.key)


def _result(result: OperationResult, change: Change | None, kind: str, at: int) -> Event:
    message = result.operation
    if change is not None and change.set_off:
        message += f" ({change.set_off})"
    if not result.succeeded:
        kind, message = EventKind.FAILED, f"{message}: {_told_by(result)}"
    diff = change.wanted.diff if change is not None else None
    return Event(at, kind, message, result.deploy, result.resource, diff)


def _told_by(result: OperationResult) -> str:
    """The error of an operation. The line that says why comes first, because only that leaves the host; then everything
    else that the operation printed."""
    error, output = result.error.strip(), result.output.strip()
    why = (error or output or "no output").splitlines()[-1].strip()
    whole = "\n".join(part for part in (output, error) if part and part != why)
    return f"{why}\n{whole}" if whole else why


def _problems(account: Account, times: Times, now: int) -> Iterator[Event]:
    for failure in account.failures:
        told = failure.message if failure.kind is ProblemKind.BUG else failure.full_text
        yield Event(failure.at or now, f"problem-{failure.kind}", told)
    if account.trusted is not None and account.trusted.note:
        yield Event(times[Milestone.AIMED], EventKind.SIGNER, account.trusted.note)
    if account.health is not None:
        for symptom in account.health.symptoms:
            subject = symptom.unit or symptom.check
            yield Event(times[Milestone.JUDGED], EventKind.UNHEALTHY, symptom.text, subject=subject)


def _held(account: Account, times: Times, now: int) -> Iterator[Event]:
    if account.hold is not None:
        stage = Milestone.AIMED if account.rollback is None else Milestone.WENT_BACK
        yield Event(times[stage], account.hold.kind, account.hold.reason)
    for hold in account.ending_holds:
        yield Event(now, hold.kind, hold.reason)
    leaving = account.pruned.leaving if account.pruned is not None else Leaving()
    for hold in leaving.holds:
        keys = [removal.entry.key for removal in leaving.removals if removal.hold == hold]
        keys += [departure.deploy for departure in leaving.departures if departure.hold == hold]
        more = ", …" if len(keys) > _KEYS_TOLD else ""
        yield Event(times[Milestone.PRUNED], hold.kind, f"{', '.join(keys[:_KEYS_TOLD])}{more}: {hold.reason}")
    for held in account.permitted.held if account.permitted is not None else ():
        change, hold = held.change, held.hold
        yield Event(
            times[Milestone.PERMITTED],
            f"held-{change.cause.value}",
            f"{change.wanted.operation}: {hold.reason}",
            change.deploy,
            change.resource,
            change.wanted.diff,
        )
