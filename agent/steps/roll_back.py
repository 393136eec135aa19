"""roll_back: takes back what a failed attempt brought to the host.

The last good state has been applied by then. This step takes back what that state says nothing about: it removes what
the attempt created, and puts back as it was found what the attempt changed for the first time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from agent.deploys.kind_table import DEEDS
from agent.domain.account import Account
from agent.domain.desired import DesiredState
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.removal import Fate, Removal
from agent.host.ledger import Ledger
from agent.steps.remove import carry_out, fate_before, in_order


@dataclass(frozen=True, slots=True)
class RolledBack:
    """``removed``: the removals that were done; each resource is gone, or as it was. ``stays``: what could not be
    undone, a line each."""

    removed: tuple[Removal, ...] = ()
    stays: tuple[str, ...] = ()


def roll_back(
    ledger: Ledger, state: DesiredState, *, since: int, wanted: Collection[str], attempted: Account | None
) -> RolledBack:
    """Take back the entries that came into the ledger from ``since`` on, in seconds since the epoch.

    ``wanted``: keys of resources that ``state``, the last good one, wants; they stay. ``attempted``: the account of the
    attempt, if there is one. Raises OSError when the ledger cannot be written.
    """
    brought = [
        entry
        for entry in ledger.entries()
        if entry.at >= since and entry.standing is Standing.OWNED and entry.key not in wanted
    ]
    found = carry_out((_undone(entry) for entry in in_order(brought)), ledger, state)
    stays = [f"{key}: {reason}" for key, reason in found.refused.items()]
    stays += [f"{each.entry.key}: {each.reason}" for each in found.done if each.fate not in _UNDONE]
    stays += [f"{entry.key}: {failure.reason}" for failure in found.failed for entry in failure.entries]
    removed = tuple(each for each in found.done if each.fate in _UNDONE)
    return RolledBack(removed, (*stays, *found.reloaded.failed, *(_deeds(attempted) if attempted is not None else ())))


_UNDONE = frozenset({Fate.REMOVE, Fate.RESTORE})


def _undone(entry: LedgerEntry) -> Removal:
    found = fate_before(entry, attempt=True)
    if found.fate is Fate.RESTORE:
        return replace(found, reason="put back as it was")
    return replace(found, fate=Fate.ORPHAN) if found.reason and entry.origin is Origin.CREATED else found


def _deeds(attempted: Account) -> Iterator[str]:
    """The changes of the attempt that nothing can undo, a line each: commands, upgrades, operations that own
    nothing."""
    for result in attempted.outcome.changed:
        if result.resource.partition(":")[0] in DEEDS:
            yield f"{result.resource}: {result.operation}"
    unowned = {planned.deploy: planned.unowned for planned in attempted.planned if planned.unowned}
    for deploy in {result.deploy for result in attempted.outcome.changed}:
        if deploy in unowned:
            yield f"{deploy}: what {unowned[deploy]} of its operations did, which own nothing"
