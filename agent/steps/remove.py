"""remove: takes entries of the ledger off the host. Prune, going back, `hostwright ledger restore` and uninstall use
it; each says itself what is to become of an entry.

It goes kind by kind. A failure with one does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby

from agent.deploys import systemctl
from agent.deploys.kind import judged, kind_named, removal_rank, units_of
from agent.domain.desired import DesiredState
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.removal import Fate, Reloaded, Removal, RemovalFailure, Removals
from agent.errors import DeployError
from agent.host.ledger import Ledger
from agent.steps.reach import reloads_and_restarts

_KEEPS_ENTRY = frozenset({Fate.ORPHAN, Fate.RELEASE, Fate.LEAVE})


def fate_before(entry: LedgerEntry, *, attempt: bool = False) -> Removal:
    """The removal that makes the host as it was before ``entry``.

    What the agent created is removed, and what it adopted is restored. What somebody else changed since, or nobody can
    look at, is left. ``attempt``: True if the entry came with an attempt that is taken back. Then a change that did not
    end well counts as the agent's too, and the entry of what is gone already is forgotten.
    """
    kind = kind_named(entry.kind)
    fate = Fate.REMOVE if entry.origin is Origin.CREATED else Fate.RESTORE
    try:
        now = kind.look(entry.name) if kind is not None else None
    except (DeployError, OSError) as error:
        return Removal(entry, Fate.LEAVE, f"it cannot be looked at: {error}")
    if attempt and now is None and fate is Fate.REMOVE:
        return Removal(entry, Fate.FORGET)
    as_before = (now.state if now is not None else None) == entry.before
    reason = "" if as_before or (attempt and not entry.settled) else judged(entry, now)
    return Removal(entry, Fate.LEAVE if reason else fate, reason)


def in_order(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The entries of kinds that can be removed, in the order in which they go."""
    known = (entry for entry in entries if kind_named(entry.kind) is not None)
    return sorted(known, key=lambda entry: (removal_rank(entry.key), entry.key))


def carry_out(
    removals: Iterable[Removal],
    ledger: Ledger,
    state: DesiredState | None = None,
    *,
    wanted: Collection[str] = (),
    purge: bool = False,
    progress: Callable[[Fate, str, int], None] = lambda *_: None,
) -> Removals:
    """Carry out the ``removals``, and tell the units that read what has gone, as ``state`` asks for it.

    ``wanted``: keys of what Git wants; it stays, also where nothing else needs it. ``purge``: True if what packages and
    the like wrote for themselves is removed too. ``progress`` is called before each group with its fate, kind and
    number. The ledger forgets last what is gone: if the agent is cut off, it tells the units the next time. Raises
    OSError when the ledger cannot be written.
    """
    removals = tuple(removals)
    done: list[Removal] = [each for each in removals if each.fate in (Fate.ORPHAN, Fate.LEAVE)]
    refused: dict[str, str] = {}
    failed: list[RemovalFailure] = []
    for _, group in groupby(removals, lambda each: removal_rank(each.entry.key)):
        together = list(group)
        kind = kind_named(together[0].entry.kind)
        if kind is None:
            continue
        for each in (each for each in together if each.fate in (Fate.RELEASE, Fate.RESTORE)):
            progress(each.fate, each.entry.kind, 1)
            try:
                if each.fate is Fate.RELEASE:
                    kind.release(each.entry)
                else:
                    kind.restore(each.entry, ledger.image(each.entry.key))
                done.append(each)
            except (DeployError, OSError) as error:
                failed.append(RemovalFailure((each.entry,), each.fate, error))
        if not (going := tuple(each.entry for each in together if each.fate is Fate.REMOVE)):
            continue
        progress(Fate.REMOVE, going[0].kind, len(going))
        try:
            stayed = kind.remove(going, purge=purge, wanted=wanted)
        except (DeployError, OSError) as error:
            failed.append(RemovalFailure(going, Fate.REMOVE, error))
            continue
        done += [Removal(entry, Fate.REMOVE) for entry in going if entry.key not in stayed]
        held = [Removal(entry, Fate.ORPHAN, stayed[entry.key]) for entry in going if entry.key in stayed]
        done += held if kind.may_hold_others else ()
        refused |= {} if kind.may_hold_others else stayed
    _write_down(done, refused, ledger)
    gone = [each.entry for each in done if each.fate not in _KEEPS_ENTRY]
    gone += [each.entry for each in removals if each.fate is Fate.FORGET]
    reloaded = _reload(gone, state)
    with ledger.together():
        for entry in gone:
            ledger.forget(entry.key)
    return Removals(tuple(done), refused, tuple(failed), reloaded)


def _write_down(done: Iterable[Removal], refused: dict[str, str], ledger: Ledger) -> None:
    with ledger.together():
        for each in done:
            if each.fate is Fate.ORPHAN:
                ledger.orphan(each.entry.key, each.reason)
            elif each.fate is Fate.RELEASE:
                ledger.release(each.entry.key)
        for key, reason in refused.items():
            ledger.refuse(key, reason)


def _reload(gone: Sequence[LedgerEntry], state: DesiredState | None) -> Reloaded:
    """Reload or restart the units that read what has gone, if they run."""
    reloads, restarts = reloads_and_restarts(state, (entry.key for entry in gone)) if state is not None else ((), ())
    again = {unit for entry in gone for unit in entry.reloads} | _units(reloads)
    anew = _units(restarts)
    return Reloaded(tuple(sorted(again | anew)), tuple(systemctl.tell_active(again, anew)))


def _units(keys: Iterable[str]) -> set[str]:
    return {unit for key in keys for unit in units_of(LedgerEntry(key, "", 0, Origin.CREATED))}
