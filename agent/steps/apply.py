"""apply: turns a permitted plan into an outcome.

The engine prepares each deploy after the ones before it ran, so what was "unknown until applied" is known now; it is
classified and judged again by the same rules. Before a deploy may run, the ledger has its before-images and the
journal says that it began.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.desired import DesiredState
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import DeployOutcome, OperationResult, Outcome, Status
from agent.domain.plan import Cause, DeployPlan, Hold, PermittedPlan
from agent.engine.client import Decision, Engine, Execute, FoundDeploy, Skip
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.steps.permit import Permission, PermitRules, permit_deploy
from agent.steps.plan import classify, waiting_with
from agent.steps.reach import MadeChanges
from agent.steps.record import record_ownership


@dataclass(frozen=True, slots=True)
class Progress:
    """The functions that tell a watcher of an apply.

    ``started`` is called with the deploy, resource and operation that starts, and ``operated`` with the result of each.
    ``settling`` is called with the seconds that the agent waits at most for the host to be well with the change.
    """

    started: Callable[[str, str, str], None]
    operated: Callable[[OperationResult], None]
    settling: Callable[[float], None] = lambda _: None


@dataclass(slots=True)
class _Decisions:
    """The decisions about each deploy, made while the engine goes through them."""

    plans: dict[str, DeployPlan] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    put_off: bool = False
    """True if a deploy waits for its time."""
    times: dict[str, list[int]] = field(default_factory=dict)
    """By deploy, the time at which each of its operations ended, in seconds since the epoch."""
    ended: dict[str, Status] = field(default_factory=dict)
    recorded: list[str] = field(default_factory=list)


def apply(
    permitted: PermittedPlan,
    state: DesiredState,
    *,
    engine: Engine,
    root: Path,
    rules: PermitRules,
    applied: Mapping[str, AppliedDeploy],
    journal: Journal,
    ledger: Ledger,
    clock: Callable[[], int],
    progress: Progress,
    made: MadeChanges,
    hold_now: Callable[[DeployPlan], Hold | None] = lambda _: None,
    only: Collection[tuple[str, str]] | None = None,
) -> Outcome:
    """Carry out what ``permitted`` allows; return an empty outcome if it allows nothing.

    ``made`` learns which changes of Git are made. ``hold_now`` returns the hold of the policies on a deploy whose turn
    has come. ``only``: the changes to make, by deploy and resource; None: all that are allowed.

    Only deploys that need a failed one are skipped; the others still run. Raises DeployError when the engine itself
    fails, OSError when the journal or the ledger cannot be written (then nothing of that deploy was changed).
    """
    if not permitted.allowed:
        return Outcome()
    decided = _Decisions()
    interrupted = journal.interrupted(state.enforced)

    def decide(found: FoundDeploy) -> Decision:
        deploy = state.deploy(found.deploy)
        planned = waiting_with(deploy, classify(deploy, found, applied, interrupted, made), decided.plans)
        decided.plans[deploy.name] = planned
        missing = [name for name in deploy.needs if name in decided.skipped or decided.ended.get(name) in _NOT_WELL]
        if missing and not planned.in_sync:
            decided.skipped[deploy.name] = f"needs {missing[0]}, which did not end well"
            return Skip()
        judged = permit_deploy(planned, rules)
        if judged.allowed and (hold := hold_now(planned)) is not None:
            judged = Permission(frozenset(), hold)
        allowed = frozenset(key for key in judged.allowed if only is None or (deploy.name, key) in only)
        if found.error is None:
            made.add_present(deploy, found.changes, applied.get(deploy.name))
        if not allowed:
            if judged.put_off and planned.pending:
                decided.put_off = True
            return Skip()
        decided.recorded += record_ownership(ledger, deploy, planned, clock())
        journal.begin(deploy.name, deploy.digest)
        return Execute(allowed)

    def operated(result: OperationResult) -> None:
        decided.times.setdefault(result.deploy, []).append(clock())
        progress.operated(result)

    def done(outcome: DeployOutcome) -> None:
        decided.ended[outcome.deploy] = outcome.status
        if outcome.status is Status.DONE:
            journal.end(outcome.deploy)
        made.add_applied(state.deploy(outcome.deploy), _intended(outcome, decided.plans.get(outcome.deploy)))

    outcomes = engine.apply(
        state,
        root,
        interrupted,
        decide=decide,
        on_started=progress.started,
        on_operated=operated,
        on_done=done,
        earlier=permitted.plan,
    )
    return Outcome(
        tuple(_completed(outcome, decided) for outcome in outcomes),
        tuple(planned for planned in decided.plans.values() if planned.error is None),
        tuple(decided.recorded),
    )


def _intended(outcome: DeployOutcome, planned: DeployPlan | None) -> list[str]:
    """The keys of resources that this deploy changed because Git did."""
    changes = {change.resource: change for change in planned.changes} if planned is not None else {}
    keys: list[str] = []
    for result in outcome.results:
        change = changes.get(result.resource)
        if result.changed and (change is None or change.cause is Cause.INTENDED):
            keys += (change.wanted.owns if change is not None else ()) or (result.resource,)
    return keys


_NOT_WELL = frozenset({Status.FAILED, Status.STOPPED, Status.SKIPPED})


def _completed(outcome: DeployOutcome, decided: _Decisions) -> DeployOutcome:
    """``outcome`` with what the engine does not know: the times at which operations ended, and why a deploy was skipped
    or held."""
    name = outcome.deploy
    outcome = dataclasses.replace(outcome, times=tuple(decided.times.get(name, ())))
    if name in decided.skipped:
        return dataclasses.replace(outcome, status=Status.SKIPPED, error=decided.skipped[name])
    planned = decided.plans.get(name)
    if planned is not None and planned.error is not None and decided.put_off:
        # A deploy that waits for its time may create what this one looks for: it is still unknown, not failed.
        return dataclasses.replace(outcome, status=Status.HELD, error=planned.error)
    return outcome
