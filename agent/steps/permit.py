"""permit: turns a plan into what of it may happen now, and why all else waits. Pure; the rules are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.desired import DesiredState, Mode
from agent.domain.memory import Attempt
from agent.domain.plan import Cause, DeployPlan, HeldChange, Hold, HoldKind, PermittedPlan, Plan
from agent.domain.window import OPEN, Gate

OBSERVE = Hold(HoldKind.OBSERVE, "mode: observe: reported, not touched")
NOT_IDEMPOTENT = Hold(
    HoldKind.NOT_IDEMPOTENT,
    "it says changed every time; it runs again when its deploy changes in Git or really changes something else",
)


_TRIED_OR_NEVER = frozenset(
    {HoldKind.OBSERVE, HoldKind.NOT_IDEMPOTENT, HoldKind.BACKOFF, HoldKind.NOT_ADMITTED, HoldKind.LACKING}
)
"""Kinds of holds on a deploy that has been tried already, or is not to be tried."""


@dataclass(frozen=True, slots=True)
class PermitRules:
    """The holds on changes of this host now: on all of them (suspended), on those of some deploys, or on those of some
    causes."""

    everything: Hold | None = None
    deploys: Mapping[str, Hold] = field(default_factory=dict)
    gate: Gate = OPEN
    failing: Mapping[str, str] = field(default_factory=dict)
    """By deploy, how often it failed with its present digest, and why."""
    denied: Mapping[str, Hold] = field(default_factory=dict)
    """By deploy, the hold of the policies."""


@dataclass(frozen=True, slots=True)
class Permission:
    """The resources that one deploy may change, or the hold on all of it."""

    allowed: frozenset[str]
    hold: Hold | None = None

    @property
    def put_off(self) -> bool:
        """True if the deploy has not been tried, and its hold is one that passes by itself (a window, a suspension)."""
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
    """The rules at the moment ``now``. ``waits_for_backoff``: True if a deploy that failed waits for the end of its
    backoff; in a person's cycle it does not."""
    holds: dict[str, Hold] = {}
    failing: dict[str, str] = {}
    for deploy in state.deploys:
        attempt = attempts.get(deploy.name)
        attempt = attempt if attempt is not None and attempt.digest == deploy.digest else None
        if attempt is not None:
            failing[deploy.name] = attempt.full_text
        if deploy.mode is Mode.OBSERVE:
            holds[deploy.name] = OBSERVE
        elif waits_for_backoff and attempt is not None and attempt.waits(now):
            holds[deploy.name] = Hold(HoldKind.BACKOFF, f"{attempt.full_text}; will be tried again", attempt.not_before)
        else:
            # A deploy waits with one that it needs and that waits for its backoff.
            waiting = [name for name in deploy.needs if name in holds and holds[name].kind is HoldKind.BACKOFF]
            if waiting:
                first = holds[waiting[0]]
                holds[deploy.name] = Hold(
                    HoldKind.BACKOFF, f"waits for {waiting[0]}, which {first.reason}", first.until
                )
    return PermitRules(everything=suspension, deploys=holds, gate=gate, failing=failing)


def permit(plan: Plan, rules: PermitRules) -> PermittedPlan:
    """``plan`` with each change allowed, or held with its reason."""
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
    """The permission of one deploy by the ``rules``. ``apply`` asks for it again when the deploy's turn has come: only
    then all of its changes may be known."""
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
    """The hold of the gate on this deploy; None if it may begin. What is unknown until applied counts as intended."""
    causes = {change.cause for change in deploy.possible} - {Cause.NOT_IDEMPOTENT}
    if deploy.unknown is not None or Cause.INTENDED in causes:
        return gate.intended
    return gate.drift if causes else None
