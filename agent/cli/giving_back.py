"""Giving back: turns entries of the ledger into a host as it was before them.

What the agent created is taken away, with all that it wrote for itself; what it adopted becomes again what it was.
What somebody changed since the agent left it so stays, and so do homes and folders with something in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby

from agent.deploys import systemctl
from agent.deploys.kind_table import AT_A_PATH, judged, kind_named, removal_rank
from agent.deploys.place import place_of
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import DeployError
from agent.host.ledger import Ledger


class Return(StrEnum):
    """What becomes of one entry."""

    REMOVED = "removed"
    RESTORED = "given back"
    LEFT = "left as they are"


@dataclass(frozen=True, slots=True)
class PlannedRestore:
    """What is to become of one entry, and why it is left where it is."""

    entry: LedgerEntry
    fate: Return
    reason: str = ""


@dataclass(slots=True)
class Given:
    """What is ``done``, with the fate that it met. What ``stayed`` by rule, or ``failed`` against it: a line each."""

    done: list[PlannedRestore] = field(default_factory=list)
    stayed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def foresee(entries: Iterable[LedgerEntry]) -> list[PlannedRestore]:
    """What would become of ``entries``, in the order in which it would happen. Looks, and changes nothing."""
    found = [_foreseen(entry) for entry in _in_order(entries)]
    going = {each.entry.key for each in found if each.fate is Return.REMOVED}
    for number, each in sorted(enumerate(found), key=lambda one: one[1].entry.name.count("/"), reverse=True):
        if each.fate is Return.REMOVED and each.entry.kind == "directory" and _stays_filled(each.entry.name, going):
            found[number] = replace(each, fate=Return.LEFT, reason="it is not empty")
            going.remove(each.entry.key)
    return found


def counts(foreseen: Iterable[PlannedRestore]) -> list[str]:
    """One line for each fate: how many of which kind."""
    lines: dict[Return, dict[str, int]] = {}
    for each in foreseen:
        kinds = lines.setdefault(each.fate, {})
        kinds[each.entry.kind] = kinds.get(each.entry.kind, 0) + 1
    return [
        f"{fate.value}: {', '.join(f'{number} {plural(kind, number)}' for kind, number in lines[fate].items())}"
        for fate in Return
        if fate in lines
    ]


def give_back(entries: Iterable[LedgerEntry], ledger: Ledger, progress: Callable[[str], None]) -> Given:
    """Gives all of it back, kind by kind; what is given back is forgotten at once, so that whoever was cut off can go
    on. Raises OSError where the ledger cannot be written."""
    given = Given()
    # All are judged before anything goes: a file without a block that has gone is not changed by a person.
    judgements = [_foreseen(entry) for entry in _in_order(entries)]
    for restored in counts(each for each in judgements if each.fate is Return.RESTORED):
        progress(f"giving back{restored.removeprefix(Return.RESTORED.value)}")
    for _, together in groupby(judgements, lambda each: removal_rank(each.entry.key)):
        those = list(together)
        before = len(given.done)
        for each in those:
            if each.fate is Return.LEFT:
                given.stayed.append(f"{each.entry.key}: {each.reason}")
            elif each.fate is Return.RESTORED:
                _restore(each, ledger, given)
        created = [each for each in those if each.fate is Return.REMOVED]
        if created:
            progress(f"taking away {len(created)} {plural(created[0].entry.kind, len(created))}")
            _remove(created, ledger, given)
        given.failed += _told(each.entry for each in given.done[before:])
    return given


def give_back_one(entry: LedgerEntry, ledger: Ledger) -> None:
    """One entry, whoever changed it since. Raises DeployError with why it stays."""
    kind = kind_named(entry.kind)
    if kind is None:
        raise DeployError(f"nothing of the kind {entry.kind} can be given back")
    if entry.origin is Origin.ADOPTED:
        kind.restore(entry, ledger.image(entry.key))
    else:
        now = kind.look(entry.name)
        as_it_is = replace(entry, left=now.state if now is not None else None, settled=True)
        if reason := kind.remove([as_it_is], purge=True).get(entry.key):
            raise DeployError(f"{entry.key} stays: {reason}")
    ledger.forget(entry.key)
    if complaints := _told([entry]):
        raise DeployError(complaints[0])


def _foreseen(entry: LedgerEntry) -> PlannedRestore:
    kind = kind_named(entry.kind)
    fate = Return.REMOVED if entry.origin is Origin.CREATED else Return.RESTORED
    try:
        now = kind.look(entry.name) if kind is not None else None
    except (DeployError, OSError) as error:
        return PlannedRestore(entry, Return.LEFT, f"it cannot be looked at: {error}")
    if (now.state if now is not None else None) == entry.before:
        return PlannedRestore(entry, fate)
    reason = judged(entry, now)
    return PlannedRestore(entry, Return.LEFT, reason) if reason else PlannedRestore(entry, fate)


def _stays_filled(folder: str, going: Set[str]) -> bool:
    """Whether something will be in it that is not the agent's, or stays."""
    try:
        place = place_of(folder)
        names = place.names() if place is not None else []
    except (DeployError, OSError):
        return False  # whoever removes it will say so
    return any(going.isdisjoint(f"{kind}:{folder}/{name}" for kind in AT_A_PATH) for name in names)


def _restore(foreseen: PlannedRestore, ledger: Ledger, given: Given) -> None:
    entry = foreseen.entry
    kind = kind_named(entry.kind)
    try:
        if kind is not None:
            kind.restore(entry, ledger.image(entry.key))
        ledger.forget(entry.key)
        given.done.append(foreseen)
    except (DeployError, OSError) as error:
        given.failed.append(f"{entry.key}: {_first_line(error)}")


def _remove(foreseen: Sequence[PlannedRestore], ledger: Ledger, given: Given) -> None:
    entries = [each.entry for each in foreseen]
    kind = kind_named(entries[0].kind)
    try:
        stayed = kind.remove(entries, purge=True) if kind is not None else {}
    except (DeployError, OSError) as error:
        given.failed += [f"{entry.key}: {_first_line(error)}" for entry in entries]
        return
    for each in foreseen:
        entry = each.entry
        if entry.key in stayed:
            given.stayed.append(f"{entry.key}: {stayed[entry.key]}")
            continue
        ledger.forget(entry.key)
        given.done.append(each)
        if entry.kind == "user" and (home := (entry.left or {}).get("home")):
            given.stayed.append(f"{home}: the home of {entry.name}")


def _told(entries: Iterable[LedgerEntry]) -> list[str]:
    """Tells those who read what has gone; what went wrong, a line each."""
    complaints = systemctl.tell_active(unit for entry in entries for unit in entry.reloads)
    return [f"it may still go by what has gone: {complaint}" for complaint in complaints]


def _in_order(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Those of a kind that can be given back, in the order in which they go."""
    known = (entry for entry in entries if kind_named(entry.kind) is not None)
    return sorted(known, key=lambda entry: (removal_rank(entry.key), entry.key))


def _first_line(error: DeployError | OSError) -> str:
    return f"{error}".partition("\n")[0]


def plural(kind: str, number: int) -> str:
    """A kind of resource as people count it."""
    word = {"op": "operation"}.get(kind, kind)
    return word if number == 1 else f"{word[:-1]}ies" if word.endswith("ry") else f"{word}s"
