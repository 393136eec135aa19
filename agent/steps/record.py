"""record: turns changes about to be made into entries of the ledger, and what was made into what the agent left.

Before a deploy may run, the agent looks at everything that the deploy looks after and records it, also what is not
expected to change: an operation may find work that an earlier one made. Entries of what turned out untouched are
deleted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType

from agent.deploys.kind import NAMES, Looked, changed_since, file_of, kind_named, other_keys, others_at_path
from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome
from agent.domain.ownership import LedgerEntry, Origin, Seen, Standing, unseen
from agent.domain.plan import Cause, DeployPlan, Plan, WantedChange
from agent.errors import DeployError
from agent.host.ledger import Ledger
from agent.system.safe_open import UnsafePath


def look(key: str) -> Seen | None:
    """The present state of a resource; None if nothing is there. Raises OSError, DeployError where nobody may look."""
    kind, _, name = key.partition(":")
    found = kind_named(kind)
    return None if found is None else found.look(name)


def look_each(keys: Iterable[str]) -> Iterator[Looked]:
    """The present state of each resource, in turn. Those of one kind that follow each other are looked at together."""
    for kind, same in groupby(keys, key=lambda key: key.partition(":")[0]):
        found, names = kind_named(kind), (key.partition(":")[2] for key in same)
        yield from (None for _ in names) if found is None else found.look_each(names)


def wanted_by(
    state: DesiredState, plan: Plan, applied: Mapping[str, AppliedDeploy] = MappingProxyType({})
) -> dict[str, frozenset[str]]:
    """The deploys that want each resource, by its key; also each that another implies (``with_implied``).
    ``applied``: what is remembered of the deploys."""
    found: dict[str, frozenset[str]] = {}
    plans = {planned.deploy: planned for planned in plan.deploys}
    for deploy in state.deploys:
        planned = plans.get(deploy.name)
        keys = {resource.key for resource in deploy.resources}
        keys.update(planned.resources if planned is not None else ())
        keys.update(owned_by(deploy, [planned] if planned is not None else [], applied.get(deploy.name)))
        alone, keys = frozenset((deploy.name,)), with_implied(keys)
        shared = {key: found[key] | alone for key in keys & found.keys()}
        found |= dict.fromkeys(keys, alone) | shared
    return found


def with_implied(keys: Iterable[str]) -> set[str]:
    """``keys``, and those that they imply: the file that a part lies in, and the file of a unit."""
    keys = set(keys)
    files = (file for key in keys if (file := file_of(key)) is not None)
    return keys.union(files, *map(other_keys, keys))


def owned_by(deploy: DesiredDeploy, plans: Iterable[DeployPlan], before: AppliedDeploy | None) -> set[str]:
    """Keys of what a config repo's deploy owns: those that are remembered, and those that ``plans`` name now. Empty for
    a built-in.

    Its code may name a thing only while that is missing (``if not host.get_fact(File, …)``). So what it has named stays
    its own, until a new version of it no longer names what the old version always did.
    """
    if deploy.built_in:
        return set()
    told = [planned for planned in plans if planned.known]
    named = {key for planned in told for key in planned.resources if key.partition(":")[0] in NAMES}
    owned = set(before.owned) if before is not None else set()
    if before is not None and told and before.digest != deploy.digest:
        owned -= set(before.steady)
    return named | owned.difference(other for key in named for other in others_at_path(key))


def record_ownership(ledger: Ledger, deploy: DesiredDeploy, planned: DeployPlan, now: int) -> tuple[str, ...]:
    """Write the resources of ``planned`` into the ledger before its deploy runs: each new one with its present state,
    and each known one that is about to change as unsettled. Return the keys of new entries. Raises OSError: then
    nothing may be changed."""
    reloads = {resource.key: resource.reloads for resource in deploy.resources}
    absent = {resource.key for resource in deploy.resources if resource.absent}
    changing = dict.fromkeys(key for each in planned.changes for key in each.wanted.owns or (each.resource,))
    unknown: list[str] = []
    new: list[str] = []
    with ledger.together():
        for key in dict.fromkeys((*changing, *planned.resources)):
            if kind_named(key.partition(":")[0]) is None:
                continue
            if _is_owned(ledger.entry(key)):
                if key in changing:
                    ledger.record(key, deploy.name, now, None, reloads.get(key, ()), owed=key in absent)
                continue
            old = next((entry for other in others_at_path(key) if (entry := ledger.entry(other)) is not None), None)
            if old is not None and _is_owned(old) and ledger.entry(key) is None:
                ledger.succeed(key, old, deploy.name, reloads.get(key, ()))
                continue
            unknown.append(key)
        for key, looked in zip(unknown, look_each(unknown), strict=True):
            for each, seen in _found(key, looked, ledger):
                ledger.record(each, deploy.name, now, seen, reloads.get(each, ()), owed=each in absent)
                new.append(each)
    return tuple(new)


def record_result(
    ledger: Ledger,
    state: DesiredState,
    outcome: Outcome,
    after: Plan,
    applied: Mapping[str, AppliedDeploy] = MappingProxyType({}),
    *,
    now: int,
) -> None:
    """Write down the state of each resource that this cycle changed, or an earlier one that was cut off, and which
    deploy wants what. ``after``: the plan made after ``outcome``. ``applied``: what is remembered after it. Raises
    OSError."""
    wanted = wanted_by(state, after, applied)
    touched, perhaps = _touched(outcome)
    with ledger.together():
        _own(ledger, state, wanted, now)
        changed = touched | perhaps
        entries = [entry for entry in ledger.entries() if not entry.settled or entry.key in changed]
        if not entries:
            return
        in_sync = _in_sync(after)
        right = {key for key, deploys in wanted_by(state, after).items() if deploys & in_sync}
        known = changed | right
        told = known.union(outcome.recorded)
        entries = [entry for entry in entries if entry.left is not None or entry.key in told]
        for entry, seen in zip(entries, look_each(entry.key for entry in entries), strict=True):
            if isinstance(seen, Exception):
                continue  # The entry stays unsettled.
            if entry.key in outcome.recorded and entry.key not in touched and _as_before(entry, seen):
                if not entry.owed:
                    ledger.forget(entry.key)
            elif entry.key in known:
                ledger.settle(entry.key, seen)
                for other in others_at_path(entry.key):
                    if ledger.entry(other) is not None and other not in wanted:
                        ledger.forget(other)  # The other resource has lost its place to this one.
            elif entry.key in outcome.recorded and entry.origin is Origin.CREATED:
                # Nothing was there a moment ago: an operation made it and failed after that.
                ledger.settle(entry.key, seen)
            elif entry.left is not None and seen is not None and not changed_since(entry.kind, entry.left, seen):
                # A change that failed has left it as the last successful one did.
                ledger.settle(entry.key, seen)


def _own(ledger: Ledger, state: DesiredState, wanted: Mapping[str, Collection[str]], now: int) -> None:
    """Write down which deploy wants each resource. One that was let go and is wanted again begins anew with its present
    state, unless it is as the agent left it."""
    told = {resource.key: resource.reloads for deploy in state.deploys for resource in deploy.resources}
    for entry in ledger.entries():
        deploys = wanted.get(entry.key)
        if not deploys:
            continue
        whose = entry.deploy if entry.deploy in deploys else min(deploys)
        reloads = told.get(entry.key, entry.reloads)
        if (entry.standing, entry.deploy, entry.reason, entry.reloads) == (Standing.OWNED, whose, "", reloads):
            continue  # The entry says so already.
        try:
            if not _is_owned(entry) and not entry.is_as_left(seen := _seen(*look_each([entry.key]))):
                ledger.record(entry.key, whose, now, seen, reloads)
            else:
                ledger.own(entry.key, whose, reloads)
        except UnsafePath:
            continue  # The deploy refuses that path too.


def _is_owned(entry: LedgerEntry | None) -> bool:
    return entry is not None and entry.standing is Standing.OWNED


def _touched(outcome: Outcome) -> tuple[set[str], set[str]]:
    """Two sets of keys, with the files of parts: of resources that were changed, and of resources that may
    have been.

    Operations that ended well changed the first. The second are all resources of a deploy that ran an operation which
    no plan had foreseen: it is not known what that owns.
    """
    found = {planned.deploy: planned for planned in outcome.found}
    changes: dict[tuple[str, str], list[WantedChange]] = {}
    for planned in outcome.found:
        for change in planned.changes:
            changes.setdefault((planned.deploy, change.resource), []).append(change.wanted)
    touched: set[str] = set()
    perhaps: set[str] = set()
    for result in outcome.changed:
        if result.deploy not in found or not result.succeeded:
            continue
        wanted = changes.get((result.deploy, result.resource), ())
        touched.update(key for each in wanted for key in each.owns or (each.resource,))
        perhaps.update(() if wanted else found[result.deploy].resources)
    for keys in (touched, perhaps):
        keys.update([file for key in keys if (file := file_of(key)) is not None])
    return touched, perhaps


def _in_sync(plan: Plan) -> set[str]:
    return {
        planned.deploy
        for planned in plan.deploys
        if planned.in_sync
        or (planned.changes and all(change.cause is Cause.NOT_IDEMPOTENT for change in planned.changes))
    }


def _found(key: str, looked: Looked, ledger: Ledger) -> Iterator[tuple[str, Seen | None]]:
    """The new resource with its present state; before it, if a part is about to make its file, that file
    with None. Nothing if somebody has put a link on the way: the deploy refuses that path too, and says so."""
    try:
        seen = _seen(looked)
        file = file_of(key)
        if file is not None and not _is_owned(ledger.entry(file)) and _seen(*look_each([file])) is None:
            yield file, None
        yield key, seen
    except UnsafePath:
        return


def _seen(looked: Looked) -> Seen | None:
    """The state that was ``looked`` up. What nobody can look at counts as there: so it is never taken for the agent's.
    Raises UnsafePath."""
    if isinstance(looked, UnsafePath):
        raise looked
    if isinstance(looked, OSError):
        return unseen(f"{looked.strerror or looked}")
    return unseen(looked.message) if isinstance(looked, DeployError) else looked


def _as_before(entry: LedgerEntry, seen: Seen | None) -> bool:
    before: Mapping[str, object] | None = entry.before
    return before == (seen.state if seen is not None else None)
