"""roll_back: turns what a failed attempt brought to the host into what is gone again.

The last good state is applied by then. What is left is what that says nothing about: things the attempt created are
removed, and what it changed for the first time is put back as it was found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agent.deploys.kind_table import judged, kind_named, removal_rank
from agent.domain.account import Account
from agent.domain.desired import DesiredState
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.removal import Fate, Removal
from agent.errors import DeployError
from agent.host.ledger import Ledger
from agent.steps.prune import carry_out
from agent.steps.record import look

NEVER_UNDONE = frozenset({"command", "upgrade"})
"""Kinds of changes that are deeds, not things."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """``removed``: what is gone, or as it was. ``stays``: what could not be undone, a line each."""

    removed: tuple[Removal, ...] = ()
    stays: tuple[str, ...] = ()


def roll_back(
    ledger: Ledger, state: DesiredState, *, since: int, wanted: Collection[str], attempted: Account | None
) -> RolledBack:
    """Takes back what came into the ledger after ``since`` (seconds since the epoch) and is not among the keys that
    are ``wanted`` now, by ``state``. Raises OSError when the ledger cannot be written."""
    brought = [
        entry
        for entry in ledger.entries()
        if entry.at >= since and entry.standing is Standing.OWNED and entry.key not in wanted
    ]
    brought.sort(key=lambda entry: removal_rank(entry.key))
    created = [_created(entry) for entry in brought if entry.origin is Origin.CREATED]
    restored, refused = _put_back([entry for entry in brought if entry.origin is Origin.ADOPTED], ledger)
    done, stayed, failures, _ = carry_out(created, ledger, state)
    stays = [*refused, *(f"{key}: {reason}" for key, reason in stayed.items())]
    stays += [f"{each.entry.key}: {each.reason}" for each in done if each.fate is Fate.ORPHAN]
    stays += [failure.message for failure in failures]
    removed = [*restored, *(each for each in done if each.fate is not Fate.ORPHAN)]
    return RolledBack(tuple(removed), (*stays, *(_deeds(attempted) if attempted is not None else ())))


def _created(entry: LedgerEntry) -> Removal:
    try:
        now = look(entry.key)
    except (OSError, DeployError) as error:
        return Removal(entry, Fate.ORPHAN, f"it cannot be looked at: {error}")
    if now is None:
        return Removal(entry, Fate.FORGET)
    # What the attempt left unsettled was cut off in the middle: it is its doing, whatever it looks like.
    reason = judged(entry, now) if entry.settled else ""
    return Removal(entry, Fate.ORPHAN, reason) if reason else Removal(entry, Fate.REMOVE)


def _put_back(entries: Sequence[LedgerEntry], ledger: Ledger) -> tuple[list[Removal], list[str]]:
    done: list[Removal] = []
    refused: list[str] = []
    for entry in entries:
        kind = kind_named(entry.kind)
        try:
            if entry.settled and (reason := judged(entry, look(entry.key))):
                refused.append(f"{entry.key}: {reason}")
                continue
            if kind is not None:
                kind.restore(entry, ledger.image(entry.key))
            ledger.forget(entry.key)
            done.append(Removal(entry, Fate.RELEASE, "put back as it was"))
        except (DeployError, OSError) as error:
            refused.append(f"{entry.key}: {error}")
    return done, refused


def _deeds(attempted: Account) -> Iterator[str]:
    """What happened and is no thing that could be taken away."""
    for result in attempted.outcome.changed:
        if result.resource.partition(":")[0] in NEVER_UNDONE:
            yield f"{result.resource}: {result.operation}"
    unowned = {planned.deploy: planned.unowned for planned in attempted.planned if planned.unowned}
    for deploy in {result.deploy for result in attempted.outcome.changed}:
        if deploy in unowned:
            yield f"{deploy}: what {unowned[deploy]} of its operations did, which own nothing"
