"""apply: turns a permitted plan into an outcome.

The engine prepares each deploy after the ones before it ran, so what was "unknown until applied" is known now; it is
classified and judged again by the same rules. Before a deploy may run, the ledger has its before-images and the
journal says that it began.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.desired import DesiredState
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import DeployOutcome, OperationResult, Outcome, Status
from agent.domain.plan import DeployPlan, PermittedPlan
from agent.engine.client import Decision, Engine, Execute, Prepared, Skip
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.steps.own import record
from agent.steps.permit import Rules, judge
from agent.steps.plan import classify


@dataclass(frozen=True, slots=True)
class Progress:
    """Whoever wants to watch: a deploy and operation that start, how each ended, and for how many seconds at most it is
    waited whether the host is well with all that."""

    started: Callable[[str, str, str], None]
    operated: Callable[[OperationResult], None]
    settling: Callable[[float], None] = lambda _: None


@dataclass(slots=True)
class _Decisions:
    """What was decided about each deploy while the engine went through them."""

    plans: dict[str, DeployPlan] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    ended: dict[str, Status] = field(default_factory=dict)
    recorded: list[str] = field(default_factory=list)


def apply(
    permitted: PermittedPlan,
    state: DesiredState,
    *,
    engine: Engine,
    root: Path,
    rules: Rules,
    applied: Mapping[str, AppliedDeploy],
    journal: Journal,
    ledger: Ledger,
    now: int,
    progress: Progress,
) -> Outcome:
    """Carries out what ``permitted`` allows, and nothing where it allows nothing.

    Only deploys that need a failed one are skipped; the others still run. Raises DeployError when the engine itself
    fails, OSError when the journal or the ledger cannot be written (then nothing of that deploy was changed).
    """
    if not permitted.allowed:
        return Outcome()
    made = _Decisions()
    interrupted = journal.interrupted(state.enforced)

    def decide(found: Prepared) -> Decision:
        deploy = state.deploy(found.deploy)
        planned = classify(deploy, found, applied, interrupted)
        made.plans[deploy.name] = planned
        missing = [name for name in deploy.needs if name in made.skipped or made.ended.get(name) in _NOT_WELL]
        if missing and not planned.in_sync:
            made.skipped[deploy.name] = f"needs {missing[0]}, which did not end well"
            return Skip()
        judged = judge(planned, rules)
        if not judged.allowed:
            if judged.put_off and planned.pending:
                made.held.add(deploy.name)
            return Skip()
        made.recorded += record(ledger, deploy, planned, now)
        journal.begin(deploy.name, deploy.digest)
        return Execute(judged.allowed)

    def done(outcome: DeployOutcome) -> None:
        made.ended[outcome.deploy] = outcome.status
        if outcome.status is Status.DONE:
            journal.end(outcome.deploy)

    outcomes = engine.apply(
        state,
        root,
        interrupted,
        decide=decide,
        on_started=progress.started,
        on_operated=progress.operated,
        on_done=done,
    )
    return Outcome(
        tuple(_settled(outcome, made) for outcome in outcomes),
        tuple(planned for planned in made.plans.values() if planned.error is None),
        tuple(made.recorded),
    )


_NOT_WELL = frozenset({Status.FAILED, Status.STOPPED, Status.SKIPPED})


def _settled(outcome: DeployOutcome, made: _Decisions) -> DeployOutcome:
    """The engine's word, and ours where the engine cannot know: why a deploy was passed over."""
    name = outcome.deploy
    if name in made.skipped:
        return dataclasses.replace(outcome, status=Status.SKIPPED, error=made.skipped[name])
    planned = made.plans.get(name)
    if planned is not None and planned.error is not None and made.held:
        # What it looks for may be what a deploy that waits for its time will create: still unknown, not failed.
        return dataclasses.replace(outcome, status=Status.HELD, error=planned.error)
    return outcome
