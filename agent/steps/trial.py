"""trial: turns an intended change into one that is confirmed, or into what speaks against it.

These signs count, because the change may have caused them:

- a deploy that it touches or sets off fails;
- a check of such a deploy fails, which passed before or is new;
- a unit has failed since;
- the config repo's server cannot be reached any more.

Vitals, and what was bad before, are reported and not counted. Nor is a transient failure, which passes by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.deploys.kind import kind_named
from agent.domain.check import Check, CheckResult
from agent.domain.desired import DesiredState
from agent.domain.health import Health
from agent.domain.memory import AppliedDeploy, Attempt
from agent.domain.outcome import DeployOutcome, Outcome, Status
from agent.domain.plan import Cause, DeployPlan, PermittedPlan
from agent.domain.removal import Pruned
from agent.domain.transient import is_transient, same_failure
from agent.domain.trial import Bad, Trial
from agent.errors import Consequence, HealthError
from agent.problems import ProblemKind
from agent.steps.probe import failed_unit_told
from agent.steps.reach import reach
from agent.system.systemd import UNTOLD

LOOK_AGAIN_S = 2.0
"""Seconds between two looks at the host while an intended change settles."""

REMOTE_TIMEOUT_S = 5.0
"""Seconds in which the config repo's server has to take a connection."""


@dataclass(frozen=True, slots=True)
class HealthSource:
    """The ways to look at the host. ``health`` returns its health, ``remote`` True if the config repo's server
    answers."""

    health: Callable[[], Health]
    remote: Callable[[], bool]
    stopped: Callable[[], bool]
    """True if the cycle has been asked to end."""
    waiting: Callable[[float], None] = lambda _: None
    """Called once, with the seconds that the agent waits at most."""
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


def begin_trial(
    state: DesiredState,
    permitted: PermittedPlan,
    *,
    applied: Mapping[str, AppliedDeploy],
    source: HealthSource,
    now: int,
    again: bool = False,
) -> Trial:
    """A new trial of the changes that ``permitted`` intends; with ``again``, of all its changes. Do not begin one anew
    for a change that was cut off: the health of the host may be that change's doing by then."""
    health = source.health()
    return Trial(
        state.digest,
        state.commit,
        now,
        touched=_touched(
            state, (each for each in permitted.plan.deploys if each.deploy in permitted.allowed), again=again
        ),
        passed=tuple(label_of(result) for result in health.checks if result.passed),
        known=tuple(f"{name}: {label}" for name, deploy in applied.items() for label in deploy.checks),
        failed_units=health.failed_units,
        remote=source.remote(),
    )


def widened(trial: Trial, state: DesiredState, outcome: Outcome) -> Trial:
    """``trial`` with the deploys that turned out to be touched, too, when their turn came."""
    ran = (planned for planned in outcome.found if outcome.status(planned.deploy) is not Status.HELD)
    touched = {*trial.touched, *_touched(state, ran)}
    return replace(trial, touched=tuple(deploy.name for deploy in state.deploys if deploy.name in touched))


def begin_removal_trial(
    trial: Trial | None, state: DesiredState, health: Health, *, remote: Callable[[], bool], now: int
) -> Trial:
    """``trial``, or a new one, of a commit that is about to remove something. ``health``: that of the host before.
    Nobody knows which deploys use what goes, so every check that passes now has to pass afterwards."""
    labels = tuple(label_of(result) for result in health.checks)
    return replace(
        trial or Trial(state.digest, state.commit, now, remote=remote()),
        touched=tuple(deploy.name for deploy in state.deploys),
        passed=tuple(label_of(result) for result in health.checks if result.passed),
        known=labels,
        failed_units=health.failed_units,
    )


def _touched(state: DesiredState, plans: Iterable[DeployPlan], *, again: bool = False) -> tuple[str, ...]:
    plans = tuple(plans)
    changes = (change for planned in plans for change in planned.changes)
    unclear = (planned.deploy for planned in plans if not planned.changes and planned.intends)
    return reach(state, (each for each in changes if again or each.cause is Cause.INTENDED), unclear)


def settles_at_once(outcome: Outcome) -> bool:
    """True if nothing that changed can have an after-effect. False if nobody knows what changed."""
    return _are_inert(result.resource for deploy in outcome.deploys for result in deploy.results)


def removal_settles_at_once(pruned: Pruned) -> bool:
    """True if no removal can have an after-effect. A unit that was told, or an ``on_remove``, may have one later."""
    told = pruned.departed or pruned.stayed or pruned.reloaded.units
    return not told and _are_inert(removal.entry.key for removal in pruned.done)


def _are_inert(keys: Iterable[str]) -> bool:
    kinds = [kind_named(name) for name in {key.partition(":")[0] for key in keys}]
    return bool(kinds) and all(kind is not None and kind.inert for kind in kinds)


def watch_health(
    trial: Trial, source: HealthSource, *, settle_s: int, to_the_end: bool
) -> tuple[Health, tuple[str, ...]]:
    """The host's health when the change has settled, and the signs against the change, a text each: none when it is
    good.

    A bad sign has ``settle_s`` seconds to become good. With ``to_the_end`` a host that is well is watched for as long:
    it may still fall. The watch ends early if the cycle is asked to end.
    """
    deadline = source.monotonic() + settle_s
    told = False
    while True:
        health = source.health()
        reasons = evaluate_trial(trial, health, remote=not trial.remote or source.remote())
        remaining_s = deadline - source.monotonic()
        if remaining_s <= 0 or source.stopped() or not (reasons or to_the_end):
            return health, reasons
        if not told:
            told = True
            source.waiting(remaining_s)
        source.sleep(min(LOOK_AGAIN_S, remaining_s))


def evaluate_trial(trial: Trial, health: Health, *, remote: bool) -> tuple[str, ...]:
    """The signs of the host against the change, a text each. ``remote``: False if the config repo's server answered
    before and does not now. Pure."""
    counting = [
        result
        for result in health.checks
        if result.deploy in trial.touched and (label_of(result) in trial.passed or label_of(result) not in trial.known)
    ]
    reasons = [_told(result) for result in counting if not result.passed]
    if UNTOLD not in trial.failed_units:  # else nobody knows which of them are new
        reasons += [failed_unit_told(unit) for unit in health.failed_units if unit not in trial.failed_units]
    if not remote:
        reasons.append("the config repo's server cannot be reached any more")
    return tuple(reasons)


def broken(trial: Trial, outcome: Outcome, attempts: Mapping[str, Attempt]) -> tuple[tuple[str, ...], bool]:
    """The deploys that failed by the change's own fault, a text each; and True if that is in doubt. Pure.

    It is in doubt if another deploy had a transient failure, or if one that counts overran its time.

    ``attempts``: how the deploys failed before. One that fails as it did before does not count. Nor does one of which
    only changes failed that were refused from the start: nothing of these was begun, and all else was done.
    """
    wanted = (change for planned in outcome.found for change in planned.changes)
    refused = {(change.deploy, change.resource) for change in wanted if change.wanted.refused}
    failed = [
        deploy for deploy in outcome.failed if deploy.deploy in trial.touched and not _only_refused(deploy, refused)
    ]
    new = [
        deploy
        for deploy in failed
        if (before := attempts.get(deploy.deploy)) is None or not same_failure(before.error, deploy.error)
    ]
    counting = [deploy for deploy in new if not is_transient(deploy, _runs)]
    doubtful = len(counting) < len(new) or any(deploy.cut_off for deploy in counting)
    return tuple(f"{deploy.deploy} failed: {deploy.error}" for deploy in counting), doubtful


def _runs(key: str) -> bool:
    kind = kind_named(key.partition(":")[0])
    return kind is not None and kind.runs


def _only_refused(deploy: DeployOutcome, refused: Collection[tuple[str, str]]) -> bool:
    failed = [(deploy.deploy, result.resource) for result in deploy.results if not result.succeeded]
    return bool(failed) and all(each in refused for each in failed)


def checks_alone(state: DesiredState | None, health: Health | None, harm: Sequence[str]) -> tuple[str, ...]:
    """The digests of the checks of ``state`` that are all the ``harm``; none if there is other harm, too. Pure."""
    results = health.checks if health is not None else ()
    failed = {_told(result): label_of(result) for result in results if not result.passed}
    if state is None or not failed.keys() >= set(harm):
        return ()
    labels = {failed[sign] for sign in harm}
    return tuple(check.digest for check in state.checks if label_of(check) in labels)


def _told(result: CheckResult) -> str:
    return f"{label_of(result)}: {result.output}"


def label_of(check: Check | CheckResult) -> str:
    """The name of a check among those of all deploys."""
    return f"{check.deploy}: {check.label}"


def did_not_end(trial: Trial, now: int) -> Bad:
    reason = f"it was begun {trial.tries} times and never ended: the agent or the host went down with it"
    return Bad(trial.digest, trial.commit, now, reason, never_ended=True)


def rolled_back(bad: Bad, to: str) -> HealthError:
    if bad.until is not None:
        return HealthError(
            f"commit {bad.commit[:12]} was taken back to {to[:12]}, and that did not help: {bad.reason}",
            kind=ProblemKind.INCONCLUSIVE,
            hint="the commit may not be to blame; it is tried again by itself",
            consequence=Consequence.RETRY,
        )
    return HealthError(
        f"commit {bad.commit[:12]} was taken back to {to[:12]}: {bad.reason}",
        kind=ProblemKind.ROLLED_BACK,
        hint="it is not tried again: push a commit that mends it",
    )


def nothing_to_go_back_to(commit: str, reason: str) -> HealthError:
    return HealthError(
        f"commit {commit[:12]} did the host no good, and there is nothing to go back to: {reason}",
        kind=ProblemKind.NOTHING_TO_GO_BACK_TO,
        hint="push a commit that mends it, or mend the host by hand",
    )


def rollback_failed(bad: Bad, to: str, why: str) -> HealthError:
    return HealthError(
        f"going back from commit {bad.commit[:12]} to {to[:12]} failed, too: {why}",
        kind=ProblemKind.ROLLBACK_FAILED,
        hint="somebody has to look at this host: `hostwright plan`, `hostwright events`",
    )
