"""prune: removes what has left Git, in a cycle that left the host as wanted and well.

1. ``revoke`` takes away the access of what has left, also in any other cycle.
2. The ``on_remove`` of each deploy that has left is run.
3. Resources are removed, kind by kind.
4. The units that read what has gone are told.

A removal that was cut off is taken up again: what is gone already counts as removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial

from agent.deploys.kind import paths_of, units_of
from agent.deploys.unit_state import template_of
from agent.domain.account import Account
from agent.domain.desired import DEPLOY_KIND, DesiredDeploy, DesiredState, Mode
from agent.domain.health import Health
from agent.domain.memory import ON_REMOVE, Applied, Attempt, State
from agent.domain.outcome import Status
from agent.domain.ownership import LedgerEntry, Standing
from agent.domain.plan import Hold, HoldKind, Plan
from agent.domain.removal import Departure, Fate, Leaving, Pruned, Removal, Removals
from agent.engine.client import Engine, Execute
from agent.errors import DeployError, HostwrightError
from agent.host.exports import Exports
from agent.host.ledger import Ledger
from agent.problems import ProblemKind
from agent.steps.apply import Progress
from agent.steps.plan_removals import plan_removals
from agent.steps.record import wanted_by
from agent.steps.remove import carry_out
from agent.steps.revoke import revoke
from agent.steps.verify import recall
from agent.system.mirror import Mirror


@dataclass(frozen=True, slots=True)
class OnRemoveRunner:
    """The parts needed to run an ``on_remove``. ``last``: the commit trusted last."""

    engine: Engine
    exports: Exports
    mirror: Mirror
    progress: Progress
    last: str
    inventory: str


def prune(
    account: Account,
    *,
    before: Applied,
    idle: Mapping[str, str],
    memory: State,
    ledger: Ledger,
    on_remove: OnRemoveRunner,
    now: int,
    waits_for_backoff: bool,
    hold_denied: Callable[[Leaving], Leaving],
    hold_named: Callable[[Leaving], Leaving],
    begin: Callable[[], None],
) -> Pruned:
    """Remove what has left Git, as far as it may go now.

    ``idle``: the deploys that may have left by mistake (``Environment.idle``). ``waits_for_backoff``: True if an
    ``on_remove`` that failed waits for the end of its backoff. ``hold_denied`` adds the holds of the policies,
    ``hold_named`` only those of denials by key. ``begin`` is called before anything is removed; access is taken away
    before that. Raises OSError when the ledger cannot be written.
    """
    state, after = account.state, account.after
    wanted = _wanted(account, before)
    units = leaving_units(ledger.entries(), wanted)
    why = unfit(account, converged=before.commit is not None, excused=units)
    if state is None:
        return Pruned(waits=why, standing=_standing(ledger))
    left_git = partial(
        plan_removals,
        state,
        wanted=wanted,
        idle=idle,
        before=before,
        memory=memory,
        fleet=account.fleet or memory.fleet,
        ledger=ledger,
        mirror=on_remove.mirror,
        inventory=on_remove.inventory,
    )
    leaving = left_git(hold_denied=hold_denied)
    denied = any(hold.kind is HoldKind.POLICY for hold in leaving.holds)
    # Without the other denials: one that keeps no access must not hide a hold that does.
    losing = left_git(hold_denied=hold_named) if denied else leaving
    revoked, untaken = revoke(account, _surely_left(account, state, losing.removals))
    left_git = partial(left_git, hold_denied=hold_denied)
    if why:
        leaving = left_git(waits=why) if after is not None else Leaving()
        blocking = _blocking(account, leaving)
        if not blocking or unfit(account, converged=before.commit is not None, excused=units, failed=False):
            return Pruned(why, leaving, revoked=revoked, standing=_standing(ledger), failures=untaken)
        free = Leaving(tuple(each for each in left_git().removals if each.entry.key in blocking)).permitted
        if free.due:
            begin()
        found = carry_out(free.removals, ledger, state, wanted=wanted)
        gone = {each.entry.key for each in found.done}
        return Pruned(
            why,
            replace(leaving, removals=tuple(each for each in leaving.removals if each.entry.key not in gone)),
            found.done,
            revoked,
            standing=_standing(ledger),
            failures=(*untaken, *_failures(found, {}, {})),
            reloaded=found.reloaded,
        )
    there = {deploy.name for deploy in state.deploys}
    waiting = _backoff(before, memory.attempts, there, now) if waits_for_backoff else {}
    if waiting or revoked or untaken:
        leaving = left_git(waiting=waiting)
    if leaving.permitted.due:
        begin()
    ran = [(each, _run(each, state.host, on_remove, memory.attempts)) for each in leaving.permitted.departures]
    departed = {each.deploy: each.on_remove.source for each, failed in ran if not failed}
    stayed = {each.deploy: failed for each, failed in ran if failed}
    if stayed or departed:  # An on_remove may have removed or changed any of it.
        holds = {name: Hold(HoldKind.ON_REMOVE, f"its on_remove failed: {why}") for name, why in stayed.items()}
        leaving = left_git(waiting={**waiting, **holds}, departed=departed)
    found = carry_out(leaving.permitted.removals, ledger, state, wanted=wanted)
    leaving = replace(leaving, removals=tuple(_told(removal, found.refused) for removal in leaving.removals))
    failures = (*untaken, *_failures(found, stayed, waiting))
    return Pruned("", leaving, found.done, revoked, departed, stayed, _standing(ledger), failures, found.reloaded)


def _wanted(account: Account, before: Applied) -> Collection[str]:
    """Keys of what the deploys want. Without a plan, ``before`` says what a config repo's deploy owns."""
    if account.state is None:
        return ()
    if account.after is None:
        return wanted_by(account.state, Plan(account.state.commit, account.state.digest, ()), before.deploys)
    return wanted_by(account.state, account.after, account.applied)


def _surely_left(account: Account, state: DesiredState, removals: Iterable[Removal]) -> tuple[Removal, ...]:
    """``removals`` without those of config repo's deploys that are not planned: nobody knows what they still want."""
    plans = account.after.deploys if account.after is not None else ()
    known = {planned.deploy for planned in plans if planned.known}
    unknown = {deploy.name for deploy in state.deploys if not deploy.built_in} - known
    return tuple(removal for removal in removals if removal.entry.deploy not in unknown)


def _blocking(account: Account, leaving: Leaving) -> frozenset[str]:
    """Keys of what has left Git and lies in a folder that is to be gone, or something else, now: the folder waits for
    them, and they must not wait for it."""
    changes = account.after.changes if account.after is not None else ()
    folders = [path for each in changes if each.wanted.refused for path in paths_of(each.resource)]
    return frozenset(
        each.entry.key
        for each in leaving.removals
        if each.fate is Fate.REMOVE
        and any(path.startswith(f"{folder}/") for path in paths_of(each.entry.key) for folder in folders)
    )


def unfit(account: Account, *, converged: bool, excused: Set[str] = frozenset(), failed: bool = True) -> str:
    """The reason why this cycle removes nothing; empty if it may. ``converged``: True if the host has been as wanted
    before. ``excused``: units whose failure keeps nothing (``leaving_units``): they are to go, or a file that they read
    is. ``failed``: False to leave out what failed or is not as wanted."""
    if account.state is None or account.after is None:
        return "the cycle did not get that far"
    reasons = (
        "" if converged else "the host has never been as wanted yet",
        account.hold.reason if account.hold is not None and account.hold.kind is not HoldKind.PINNED else "",
        account.shut.reason if account.shut is not None else "",
        "something failed" if failed and account.harmed else "",
        "the cycle was asked to end" if account.unsettled else "",
        _not_in_sync(account, account.state, account.after) if failed else "",
        _not_well(account.health, excused),
    )
    return next(filter(None, reasons), "")


def _not_well(health: Health | None, excused: Set[str]) -> str:
    if health is None:
        return "nobody knows how the host is"
    # A unit may be excused by its template.
    ill = [each for each in health.symptoms if excused.isdisjoint({each.unit, template_of(each.unit)})]
    return f"the host is not well: {ill[0].text}" if ill else ""


def leaving_units(entries: Iterable[LedgerEntry], wanted: Collection[str]) -> frozenset[str]:
    """The units that no deploy wants any more, and those that read a file that no deploy wants."""
    return frozenset(unit for entry in entries if entry.key not in wanted for unit in units_of(entry))


def _not_in_sync(account: Account, state: DesiredState, after: Plan) -> str:
    observed = {deploy.name for deploy in state.deploys if deploy.mode is Mode.OBSERVE}
    names = [*untold(state, after)]
    names += [each.deploy for each in after.changes if not account.repeats(each) and each.deploy not in observed]
    return f"{names[0]} is not as wanted" if names else ""


def untold(state: DesiredState, plan: Plan) -> tuple[str, ...]:
    """The deploys that could not be planned. Observed built-ins do not count: their resources are known without a
    plan."""
    known = {deploy.name for deploy in state.deploys if deploy.mode is Mode.OBSERVE and deploy.built_in}
    return tuple(
        planned.deploy
        for planned in plan.deploys
        if (planned.error is not None or planned.unknown is not None) and planned.deploy not in known
    )


def _backoff(before: Applied, attempts: Mapping[str, Attempt], there: set[str], now: int) -> dict[str, Hold]:
    """The holds on each ``on_remove`` that failed a short while ago, by deploy. ``there``: the deploys that have not
    left."""
    holds = {}
    for name, applied in before.deploys.items():
        said, attempt = applied.on_remove, attempts.get(f"{ON_REMOVE}{name}")
        if name in there or said is None or attempt is None:
            continue
        if attempt.digest == said.commit and attempt.waits(now):
            why = f"failed: {attempt.error}; will be tried again"
            holds[name] = Hold(HoldKind.BACKOFF, why, attempt.not_before)
    return holds


def _failures(found: Removals, stayed: Mapping[str, str], waiting: Mapping[str, Hold]) -> Iterator[DeployError]:
    """The errors of removals that failed, of units that could not be told, and of each ``on_remove`` that failed now or
    waits."""
    for failure in found.failed:
        first, more = failure.entries[0].key, len(failure.entries) - 1
        names = f"{first} and {more} more" if more else first
        said = f"{names} could not be {failure.fate.value}d: {failure.reason}"
        yield DeployError(said, kind=ProblemKind.NOT_PRUNED, hint="the next cycle tries again")
    for said in found.reloaded.failed:
        hint = "it may still go by what has been removed; `systemctl status` of it says more"
        yield DeployError(said, kind=ProblemKind.RELOAD_FAILED, hint=hint)
    unfinished = [(name, f"failed: {why}") for name, why in stayed.items()]
    for name, why in (*unfinished, *((name, hold.reason) for name, hold in waiting.items())):
        hint = "what came with it stays until it ends well; `hostwright apply` tries again now"
        yield DeployError(f"on_remove of {name} {why}", kind=ProblemKind.ON_REMOVE_FAILED, hint=hint)


def _run(departure: Departure, host: str, on_remove: OnRemoveRunner, attempts: Mapping[str, Attempt]) -> str:
    """Run the ``on_remove`` of a deploy that has left. Return the reason why it did not end well; empty if it did.
    ``attempts``: those that have failed before."""
    said, name = departure.on_remove, departure.deploy
    deploy = DesiredDeploy(name, DEPLOY_KIND, {}, "", source=said.source, data=said.data)
    try:
        commit = recall(said.commit, mirror=on_remove.mirror, last=on_remove.last)
        (outcome,) = on_remove.engine.apply(
            DesiredState(host, commit.sha, (deploy,), ""),
            on_remove.exports.folder(commit),
            frozenset({name} if f"{ON_REMOVE}{name}" in attempts else ()),
            decide=lambda found: Execute(frozenset(change.resource for change in found.changes)),
            on_started=on_remove.progress.started,
            on_operated=on_remove.progress.operated,
        )
    except HostwrightError as error:
        return error.message.partition("\n")[0]
    return "" if outcome.status is Status.DONE else outcome.error or f"it was {outcome.status.value}"


def _told(removal: Removal, refused: Mapping[str, str]) -> Removal:
    """``removal`` with a hold if it was refused."""
    reason = refused.get(removal.entry.key)
    if reason is None:
        return removal
    return replace(removal, hold=Hold(HoldKind.NOT_PRUNED, f"{removal.entry.key} cannot be removed now: {reason}"))


def _standing(ledger: Ledger) -> tuple[LedgerEntry, ...]:
    return tuple(entry for entry in ledger.entries() if entry.standing is not Standing.OWNED)
