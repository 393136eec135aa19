"""plan_removals: turns the ledger and what is wanted into what is to become of each resource, and what holds it.

    created, and as the agent left it     removed
    created, and changed since            orphaned: left, and reported
    there before the agent                released: left, and can be given back
    what Git said should not be           removed, whoever created it: that is owed until it is done

A commit has to allow it (trailer ``Hostwright-Prune: allow``) when much is to go at once, or when the cause may be a
typo: a host or a group that has vanished.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from types import MappingProxyType

from agent.deploys.kind import changed_since, judged, kind_named, others_at_path, removal_rank
from agent.domain.desired import DesiredState, Mode
from agent.domain.digest import JSON
from agent.domain.layout import INVENTORIES
from agent.domain.memory import Applied, AppliedDeploy, FleetSettings, State
from agent.domain.ownership import BOOTSTRAP, UNSEEN, LedgerEntry, Origin, Seen, Standing
from agent.domain.plan import Hold, HoldKind
from agent.domain.removal import Departure, Fate, Leaving, Removal
from agent.domain.tree import Entry
from agent.errors import DeployError
from agent.host.ledger import Ledger
from agent.steps.record import look
from agent.system.mirror import Mirror, trailers
from agent.system.safe_open import UnsafePath

TRAILER = "Hostwright-Prune"
ALLOW = "allow"

ALWAYS_FEW = 5
"""Removals that are allowed at once, however small the ledger: a file may go with its folder, a user with a group."""


@dataclass(frozen=True, slots=True)
class RemovalRules:
    """The reasons to keep resources on the host. ``idle``: by name, deploys that may be without a host only by mistake,
    and how that came about. ``observed``: deploys in ``mode: observe``. ``limit``: the most removals at once."""

    waits: str = ""
    """The reason why this cycle removes nothing; empty if it may."""
    bare: str = ""
    """The reason why the host is given no deploy at all; empty if it has one."""
    idle: Mapping[str, str] = field(default_factory=dict)
    observed: Collection[str] = ()
    limit: int = 0
    waiting: Mapping[str, Hold] = field(default_factory=dict)
    """By deploy, the hold on its ``on_remove``, and on what came from the deploy."""
    allowed: bool = False
    """True if a commit allows all of it."""


def plan_removals(
    state: DesiredState,
    *,
    wanted: Collection[str],
    idle: Mapping[str, str],
    before: Applied,
    memory: State,
    fleet: FleetSettings,
    ledger: Ledger,
    mirror: Mirror | None,
    inventory: str,
    hold_denied: Callable[[Leaving], Leaving],
    waits: str = "",
    waiting: Mapping[str, Hold] = MappingProxyType({}),
    departed: Collection[str] = (),
) -> Leaving:
    """The resources and deploys of this host that have left Git, each with what is to become of it and its hold.

    ``wanted``: keys of what its deploys want (``record.wanted_by``). ``before`` has the deploys that were there before.
    ``idle``: the deploys that may have left by mistake (``Environment.idle``). ``hold_denied`` adds the holds of the
    policies. ``waits``: the reason why nothing is to be removed now. ``waiting``: by deploy, the hold on its
    ``on_remove``. ``departed``: the deploys whose ``on_remove`` has run.
    """
    entries = ledger.entries()
    pending = {name: applied for name, applied in before.deploys.items() if name not in departed}
    found = hold_denied(find_removals(entries, pending, state=state, wanted=wanted, look=look))
    rules = replace(removal_rules(state, idle, fleet, entries, waiting), waits=waits)
    leaving = hold_removals(found, rules)
    held = any(hold.kind is HoldKind.PRUNE_HELD for hold in leaving.holds)
    if held and mirror is not None and allows(mirror, inventory, aimed=state.commit, settled=memory.pruned):
        return hold_removals(found, replace(rules, allowed=True))
    return leaving


def removal_rules(
    state: DesiredState,
    idle: Mapping[str, str],
    fleet: FleetSettings,
    entries: Iterable[LedgerEntry],
    waiting: Mapping[str, Hold],
) -> RemovalRules:
    """The rules of this moment. The limit is a share of the ``entries`` that deploys created and still own."""
    created = (each for each in entries if (each.origin, each.standing) == (Origin.CREATED, Standing.OWNED))
    ours = sum(1 for entry in created if entry.deploy != BOOTSTRAP)
    return RemovalRules(
        bare="" if state.deploys else f"site.yaml gives {state.host} no deploys at all",
        idle=idle,
        observed={deploy.name for deploy in state.deploys if deploy.mode is Mode.OBSERVE},
        limit=min(fleet.prune_max, max(ALWAYS_FEW, ceil(fleet.prune_percent * ours / 100))),
        waiting=waiting,
    )


def find_removals(
    entries: Iterable[LedgerEntry],
    applied: Mapping[str, AppliedDeploy],
    *,
    state: DesiredState,
    wanted: Collection[str],
    look: Callable[[str], Seen | None],
) -> Leaving:
    """The resources and deploys that have left Git, in the order in which they are to go. ``look`` returns the present
    state of a resource; it raises OSError, DeployError."""
    names = {deploy.name for deploy in state.deploys}
    gone = [
        entry
        for entry in entries
        # Git wants it absent, and it could not go at once: it is still to go.
        if (entry.key not in wanted or (entry.owed and entry.settled)) and entry.deploy != BOOTSTRAP
    ]
    removals = (_removal(entry, wanted, look) for entry in sorted(gone, key=lambda entry: removal_rank(entry.key)))
    return Leaving(
        tuple(removal for removal in removals if removal is not None),
        tuple(
            Departure(name, before.on_remove)
            for name, before in applied.items()
            if name not in names and before.on_remove is not None
        ),
    )


def hold_removals(leaving: Leaving, rules: RemovalRules) -> Leaving:
    """``leaving`` with the hold on each removal and departure. Pure."""
    leaving = _held(leaving, lambda deploy: _hold(deploy, rules))
    permitted = leaving.permitted
    # A removal that failed when it was tried has been counted then.
    new = [each for each in permitted.removals if each.fate is Fate.REMOVE and not each.reason and not each.entry.owed]
    going = len(permitted.departures) + len(new)
    if going <= rules.limit or rules.allowed:
        return leaving
    many = _unsaid(f"{going} left Git at once, and no more than {rules.limit} may go (prune in fleet.yaml)")
    return _held(leaving, lambda _: many)


def _held(leaving: Leaving, hold: Callable[[str], Hold | None]) -> Leaving:
    """``leaving`` with ``hold`` of a deploy on all that came from it, unless it has a hold already."""
    return Leaving(
        tuple(
            each if each.fate is Fate.FORGET else replace(each, hold=each.hold or hold(each.entry.deploy))
            for each in leaving.removals
        ),
        tuple(replace(each, hold=each.hold or hold(each.deploy)) for each in leaving.departures),
    )


def allows(mirror: Mirror, inventory: str, *, aimed: str, settled: str | None) -> bool:
    """True if the commit aimed at allows that all goes, or a commit of its first-parent line since ``settled``, the
    last one at which nothing was left to remove.

    Such an earlier commit speaks only for what had left by then. So it counts only while all files that deploys come
    from are the same in it and in the commit aimed at.
    """
    commits = [aimed]
    if settled is not None and mirror.descends(aimed, settled):
        commits += [sha for sha in mirror.first_parent_range(settled, aimed) if sha != aimed]
    return any(
        sha == aimed or _sources(mirror, inventory, sha) == _sources(mirror, inventory, aimed)
        for sha in commits
        if any(
            key.casefold() == TRAILER.casefold() and value.casefold() == ALLOW
            for key, value in trailers(mirror.raw(sha))
        )
    )


def _sources(mirror: Mirror, inventory: str, sha: str) -> frozenset[Entry]:
    """The files of a commit that decide what a host is given: those in folders, without other inventories."""
    return frozenset(
        entry
        for entry in mirror.tree(sha).entries()
        if "/" in entry.path
        and (not entry.path.startswith(f"{INVENTORIES}/") or entry.path.startswith(f"{INVENTORIES}/{inventory}/"))
    )


def _removal(entry: LedgerEntry, wanted: Collection[str], look: Callable[[str], Seen | None]) -> Removal | None:
    """The removal of what ``entry`` stands for; None if nothing is left to do about it."""
    kind = kind_named(entry.kind)
    if kind is None or entry.standing is Standing.RELEASED:
        return None
    if any(other in wanted for other in others_at_path(entry.key)):
        return Removal(entry, Fate.FORGET)  # Something else is wanted at its path, and its entry has this one's past.
    owed = entry.owed and _known_before(entry) is not None
    if entry.origin is Origin.ADOPTED and not owed:
        return Removal(entry, Fate.RELEASE)
    try:
        now = look(entry.key)
        changed = "" if now is None else _changed_since_owed(entry, now) if owed else judged(entry, now)
        fate = Fate.FORGET if now is None else Fate.ORPHAN if changed else Fate.REMOVE
        found = Removal(entry, fate, entry.reason if fate is Fate.REMOVE else changed)
    except UnsafePath as error:
        found = Removal(entry, Fate.ORPHAN, error.message)
    except (OSError, DeployError) as error:
        found = Removal(entry, Fate.REMOVE, hold=Hold(HoldKind.UNSEEN, f"it cannot be looked at: {error}"))
    if entry.standing is Standing.OWNED or found.fate is Fate.FORGET:
        return found
    # An orphan stays one until it is gone or again as the agent left it; whether a folder is empty is not looked at.
    again = found.fate is Fate.REMOVE and found.hold is None and not kind.may_hold_others
    return replace(found, reason="") if again else None


def _changed_since_owed(entry: LedgerEntry, now: Seen) -> str:
    changed = changed_since(entry.kind, _known_before(entry) or {}, now)
    return f"changed since: {changed}" if changed else ""


def _known_before(entry: LedgerEntry) -> Mapping[str, JSON] | None:
    """The last known state of what is owed a removal; None if nobody could look at it."""
    state = entry.left if entry.left is not None else entry.before
    return state if state is not None and UNSEEN not in state else None


def _hold(deploy: str, rules: RemovalRules) -> Hold | None:
    """The hold on all that came from ``deploy``; None if it may go."""
    if rules.waits:
        return Hold(HoldKind.PRUNE_WAITS, rules.waits)
    if deploy in rules.observed:
        return Hold(HoldKind.OBSERVE, f"{deploy} is in mode: observe, which removes nothing")
    if not rules.allowed:
        if rules.bare:
            return _unsaid(rules.bare)
        if deploy in rules.idle:
            return _unsaid(rules.idle[deploy])
    return rules.waiting.get(deploy)


def _unsaid(why: str) -> Hold:
    return Hold(HoldKind.PRUNE_HELD, f"{why}; a commit with the trailer `{TRAILER}: {ALLOW}` lets it go")
