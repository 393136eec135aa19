"""The giving back of the whole ledger, or of one entry, by the engine that removes resources which have left Git.

Things that the agent created are removed, with all that they wrote for themselves; things that it adopted get their old
state back. A thing that somebody has changed after the agent stays, and so do homes and folders with something in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import replace

from agent.deploys.kind import AT_A_PATH, kind_named
from agent.deploys.place import place_of
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.removal import Fate, Removal, Removals
from agent.domain.text import counted, plural
from agent.errors import DeployError
from agent.host.ledger import Ledger
from agent.steps.remove import carry_out, fate_before, in_order

_WORDS = {Fate.REMOVE: "removed", Fate.RESTORE: "given back", Fate.LEAVE: "left as they are"}


def plan_uninstall(entries: Iterable[LedgerEntry]) -> list[Removal]:
    """The removals that uninstalling would make of ``entries``, in their order. Nothing is changed."""
    found = [fate_before(entry) for entry in in_order(entries)]
    going = {each.entry.key for each in found if each.fate is Fate.REMOVE}
    for number, each in sorted(enumerate(found), key=lambda one: one[1].entry.name.count("/"), reverse=True):
        if each.fate is Fate.REMOVE and _may_hold_others(each.entry) and _stays_filled(each.entry.name, going):
            found[number] = replace(each, fate=Fate.LEAVE, reason="it is not empty")
            going.remove(each.entry.key)
    return found


def counts(removals: Iterable[Removal]) -> list[str]:
    """A line for each fate: the number of things of each kind."""
    kinds = [(each.fate, each.entry.kind) for each in removals]
    told = ((word, counted(kind for met, kind in kinds if met is fate)) for fate, word in _WORDS.items())
    return [f"{word}: {what}" for word, what in told if what]


def give_back(entries: Iterable[LedgerEntry], ledger: Ledger, talk: Callable[[str], None]) -> Removals:
    """Give ``entries`` back, and return what was done. Raises OSError if the ledger cannot be written."""

    def progress(fate: Fate, kind: str, number: int) -> None:
        if fate is Fate.REMOVE:
            talk(f"taking away {number} {plural(kind, number)}")

    # All fates are decided before anything is removed: else a file from which a block has just gone would count as
    # changed by a person.
    removals = [fate_before(entry) for entry in in_order(entries)]
    if restored := counted(each.entry.kind for each in removals if each.fate is Fate.RESTORE):
        talk(f"giving back: {restored}")
    return carry_out(removals, ledger, purge=True, progress=progress)


def stays(found: Removals) -> list[str]:
    """A line for each thing that stays by rule."""
    lines = [f"{each.entry.key}: {each.reason}" for each in found.done if each.reason]
    lines += [f"{key}: {reason}" for key, reason in found.refused.items()]
    removed = ((kind_named(each.entry.kind), each.entry) for each in found.done if each.fate is Fate.REMOVE)
    return [*lines, *filter(None, (kind.left_behind(entry) for kind, entry in removed if kind is not None))]


def complaints(found: Removals) -> list[str]:
    """A line for each thing that went wrong."""
    told = [f"it may still go by what has gone: {complaint}" for complaint in found.reloaded.failed]
    failed = ((entry, failure.reason) for failure in found.failed for entry in failure.entries)
    return [*(f"{entry.key}: {reason.partition(chr(10))[0]}" for entry, reason in failed), *told]


def give_back_one(entry: LedgerEntry, ledger: Ledger) -> None:
    """Give one entry back, also if somebody has changed the thing since. Raises DeployError if the thing stays."""
    kind = kind_named(entry.kind)
    if kind is None:
        raise DeployError(f"nothing of the kind {entry.kind} can be given back")
    fate = Fate.RESTORE
    if entry.origin is Origin.CREATED:
        now, fate = kind.look(entry.name), Fate.REMOVE
        entry = replace(entry, left=now.state if now is not None else None, settled=True)
    found = carry_out([Removal(entry, fate)], ledger, purge=True)
    for failure in found.failed:
        raise failure.error
    for each in found.done:
        if each.reason:
            raise DeployError(f"{entry.key} stays: {each.reason}")
    for why in (*(f"{entry.key} stays: {reason}" for reason in found.refused.values()), *complaints(found)):
        raise DeployError(why)


def _may_hold_others(entry: LedgerEntry) -> bool:
    kind = kind_named(entry.kind)
    return kind is not None and kind.may_hold_others


def _stays_filled(folder: str, going: Set[str]) -> bool:
    """True if ``folder`` holds anything but the things that are ``going`` too."""
    try:
        place = place_of(folder)
        names = place.names() if place is not None else []
    except (DeployError, OSError):
        return False  # the removal itself will raise the error
    return any(going.isdisjoint(f"{kind}:{folder}/{name}" for kind in AT_A_PATH) for name in names)
