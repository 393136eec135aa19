"""permit: turns a plan into what of it may happen now, and why the rest waits. Pure; the rules are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.desired import DesiredState, Mode
from agent.domain.memory import Attempt
from agent.domain.plan import Cause, DeployPlan, HeldChange, Hold, HoldKind, PermittedPlan, Plan
from agent.steps.gate import OPEN, Gate

OBSERVE = Hold(HoldKind.OBSERVE, "mode: observe: reported, not touched")
NOT_IDEMPOTENT = Hold(
    HoldKind.NOT_IDEMPOTENT,
    "it says changed every time; it runs again when its deploy changes in Git or really changes something else",
)


_TRIED_OR_NEVER = frozenset(
    {HoldKind.OBSERVE, HoldKind.NOT_IDEMPOTENT, HoldKind.BACKOFF, HoldKind.NOT_ADMITTED, HoldKind.LACKING}
)
"""Holds of what has been tried already, or never is to be."""


@dataclass(frozen=True, slots=True)
class PermitRules:
    """What holds changes on this host now: all of them (suspended), those of some deploys, or those of
    some causes."""

    everything: Hold | None = None
    deploys: Mapping[str, Hold] = field(default_factory=dict)
    gate: Gate = OPEN
    failing: Mapping[str, str] = field(default_factory=dict)
    """By deploy, how often and of what it failed before, as it is now."""
    denied: Mapping[str, Hold] = field(default_factory=dict)
    """By deploy, what the policies say against it."""


@dataclass(frozen=True, slots=True)
class Permission:
    """For one deploy: the resources it may change, or the hold on all of it."""

    allowed: frozenset[str]
    hold: Hold | None = None

    @property
    def put_off(self) -> bool:
        """Whether it is held by a moment (a window, a suspension) that passes by itself, and has not been tried."""
        return self.hold is not None and self.hold.kind not in _TRIED_OR_NEVER


def permit_rules(
    state: DesiredState,
    *,
    suspension: Hold | None,
    attempts: Mapping[str, Attempt],
    now: int,
    waits_for_backoff: bool,
    gate: Gate = OPEN,
) -> PermitRules:
    """The rules of this moment. ``waits_for_backoff``: whether a deploy that failed waits for its backoff to end; in a
    person's cycle it does not."""
    holds: dict[str, Hold] = {}
    failing: dict[str, str] = {}
    for deploy in state.deploys:
        attempt = attempts.get(deploy.name)
        attempt = attempt if attempt is not None and attempt.digest == deploy.digest else None
        if attempt is not None:
            failing[deploy.name] = attempt.told
        if deploy.mode is Mode.OBSERVE:
            holds[deploy.name] = OBSERVE
        elif waits_for_backoff and attempt is not None and attempt.waits(now):
            holds[deploy.name] = Hold(HoldKind.BACKOFF, f"{attempt.told}; will be tried again", attempt.not_before)
        else:
            # What needs a deploy that waits to be tried again waits with it.
            waiting = [name for name in deploy.needs if name in holds and holds[name].kind is HoldKind.BACKOFF]
            if waiting:
                first = holds[waiting[0]]
                holds[deploy.name] = Hold(
                    HoldKind.BACKOFF, f"waits for {waiting[0]}, which {first.reason}", first.until
                )
    return PermitRules(everything=suspension, deploys=holds, gate=gate, failing=failing)


def permit(plan: Plan, rules: PermitRules) -> PermittedPlan:
    """Every change of ``plan`` allowed, or held with its reason."""
    wanted = [deploy for deploy in plan.deploys if not deploy.in_sync]
    judgements = {deploy.deploy: permit_deploy(deploy, rules) for deploy in wanted}
    holds = {name: judged.hold for name, judged in judgements.items() if judged.hold is not None}
    return PermittedPlan(
        plan=plan,
        allowed={name: judged.allowed for name, judged in judgements.items() if judged.hold is None},
        held=tuple(
            HeldChange(change, hold)
            for deploy in wanted
            for change in deploy.changes
            if (hold := holds.get(deploy.deploy) or change.waits) is not None
        ),
        deploy_holds=holds,
        failing=rules.failing,
    )


def permit_deploy(deploy: DeployPlan, rules: PermitRules) -> Permission:
    """The rules over one deploy; asked again while applying, when what it wants has become clear."""
    name = deploy.deploy
    hold = rules.everything or rules.deploys.get(name) or rules.denied.get(name) or deploy.waits
    hold = hold or _shut(deploy, rules.gate)
    if hold is None and deploy.possible and all(change.cause is Cause.NOT_IDEMPOTENT for change in deploy.possible):
        hold = NOT_IDEMPOTENT
    if hold is None and not deploy.possible:
        hold = next((change.waits for change in deploy.changes), None)
    if hold is not None:
        return Permission(frozenset(), hold)
    return Permission(frozenset(change.resource for change in deploy.possible))


def _shut(deploy: DeployPlan, gate: Gate) -> Hold | None:
    """What keeps this deploy from beginning now, outside a window. What is unknown until applied may be anything."""
    causes = {change.cause for change in deploy.possible} - {Cause.NOT_IDEMPOTENT}
    if deploy.unknown is not None or Cause.INTENDED in causes:
        return gate.intended
    return gate.drift if causes else None
