"""The phases of a cycle as data, and the values that they return. ``agent.cycle`` calls the phases.

The values are frozen, except for two records in ``Planned`` that later phases go on writing: ``made`` and ``policies``.
Where a phase raised, its value and those of the phases behind it are missing. ``account_of`` makes one account from
them; the report is made from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.account import Account, Log, Reboot, Rollback, Trigger
from agent.domain.commit import Commit, TrustedCommit
from agent.domain.desired import DesiredState
from agent.domain.health import Health
from agent.domain.memory import AppliedDeploy, FleetSettings
from agent.domain.outcome import Outcome
from agent.domain.pins import AgentPin
from agent.domain.plan import Hold, PermittedPlan, Plan
from agent.domain.removal import Pruned
from agent.domain.trial import Trial
from agent.parts import Parts
from agent.steps.choose import Target
from agent.steps.deny import HostPolicies
from agent.steps.permit import PermitRules
from agent.steps.reach import MadeChanges


@dataclass(frozen=True, slots=True)
class CyclePhase:
    """A phase: a function that a cycle calls. ``gives``: the type of the value that it returns. ``steps``: the modules
    of ``agent.steps`` that do its work, also where one of them calls the other. ``does``: what it does, in words."""

    name: str
    gives: str
    steps: tuple[str, ...]
    does: str


PHASES = (
    CyclePhase(
        "select_target",
        "Selection",
        ("fetch", "verify", "signatures", "meant", "freeze", "resolve", "choose"),
        "finds the state to make true",
    ),
    CyclePhase(
        "plan_changes", "Planned", ("plan", "deny", "permit"), "says what would change, and what of that may be"
    ),
    CyclePhase(
        "begin_change", "Trial", ("report", "trial"), "reports an intended change, and notes how the host is before it"
    ),
    CyclePhase(
        "apply_changes", "Outcome", ("apply", "record"), "carries out what may happen, after journal and ledger"
    ),
    CyclePhase(
        "confirm_changes",
        "Converged",
        ("plan", "reach", "permit", "apply", "confirm", "record"),
        "plans again, applies what the changes set off, and plans then once more",
    ),
    CyclePhase("judge_trial", "TrialVerdict", ("probe", "trial"), "says whether the host is well with it"),
    CyclePhase(
        "remove_unwanted",
        "Pruned",
        ("plan_removals", "deny", "trial", "revoke", "prune", "remove"),
        "removes what has left Git, on the same trial",
    ),
    CyclePhase("judge_removal", "TrialVerdict", ("probe", "trial"), "says whether the host is well without it"),
    CyclePhase("plan_ending", "Ending", ("update",), "decides whether the host reboots or the agent is switched"),
)
"""The phases in their order. ``hostwright plan`` calls ``plan_changes`` alone."""

TRIAL = (
    ("no trial", "Git intends a change, or something has to go", "open"),
    ("open", "the host is well with the change", "removing"),
    ("open", "the change did harm, or twice did not end", "going back"),
    ("open", "the cycle ends before the host has settled", "open"),
    ("removing", "the host is well without what has gone, or nothing had to go", "confirmed"),
    ("removing", "the removal did harm", "going back"),
    ("going back", "the host is well with the last good state", "rolled-back"),
    ("going back", "it is no better", "inconclusive"),
    ("inconclusive", "its wait is over", "open"),
)
"""The transitions between the states of a trial. Each row: the state before, the condition, the state after."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The newest trusted commit, its terms for this host, and the target.

    ``fetched``: the tip of the branch; None if it could not be fetched. ``trusted``: the newest trusted commit; None if
    there is none yet. ``fleet`` and ``agent``: its terms; None if it cannot be read. ``target``: None if no commit can
    be used; the host is left alone then."""

    fetched: Commit | None = None
    trusted: TrustedCommit | None = None
    left_out: tuple[str, ...] = ()
    """The parts of the trusted commit and of the repositories pinned in it that this host does not have, in words."""
    fleet: FleetSettings | None = None
    agent: AgentPin | None = None
    target: Target | None = None
    failed_at_first: tuple[str, ...] = ()
    """The units that had failed before the agent first changed anything on this host."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """The context of one cycle, which all its phases share."""

    parts: Parts
    trigger: Trigger
    log: Log
    selection: Selection

    @property
    def settle_s(self) -> int:
        """The seconds for which the host is watched after an intended change."""
        return (self.selection.fleet or self.parts.memory.state().fleet).settle_s


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan for ``state``, and the part of it that is permitted by ``rules`` and ``policies``.

    ``before``: by deploy, what the host remembered as applied before this plan. ``root``: the folder with the commit's
    files. ``made``: the changes of Git that are made by now. ``policies``: None on the way back, which asks none.
    """

    state: DesiredState
    plan: Plan
    permitted: PermittedPlan
    rules: PermitRules
    before: Mapping[str, AppliedDeploy]
    root: Path
    made: MadeChanges
    policies: HostPolicies | None = None


@dataclass(frozen=True, slots=True)
class Converged:
    """The outcome of all deploys. ``after``: the plan made after them. ``applied``: by deploy, what to remember as
    applied."""

    outcome: Outcome
    after: Plan
    applied: Mapping[str, AppliedDeploy]


@dataclass(frozen=True, slots=True)
class Course:
    """The way of the host towards a target: the values of the phases from ``plan_changes`` to ``confirm_changes``, as
    far as they got. ``rollback``: set on the way back, where the target is the last good state."""

    target: Target | None = None
    planned: Planned | None = None
    trial: Trial | None = None
    outcome: Outcome = field(default_factory=Outcome)
    converged: Converged | None = None
    rollback: Rollback | None = None

    @property
    def state(self) -> DesiredState | None:
        return self.target.resolution.state if self.target is not None else None


@dataclass(frozen=True, slots=True)
class TrialVerdict:
    """The judgement on a change. ``course``: the course of the change; that of the way back, where the host went back.

    ``harm``: the signs against the change, a text each. ``settled``: False if it is too early to tell, because the
    cycle was asked to end, or the host is suspended.
    """

    course: Course
    health: Health | None = None
    harm: tuple[str, ...] = ()
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Ending:
    """The last acts of a cycle. ``reboot``: the reboot that is due, held or not; None without one. ``may_switch``: True
    if the agent may switch to the pinned version. ``update``: the hold on that version; None without one."""

    reboot: Reboot | None = None
    update: Hold | None = None
    may_switch: bool = False


def account_of(
    cycle: Cycle, verdict: TrialVerdict, pruned: Pruned | None = None, ending: Ending | None = None
) -> Account:
    """The account of a cycle, made from the values of the phases that have ended."""
    log, selection = cycle.log, cycle.selection
    course, ending = verdict.course, ending or Ending()
    target, planned, converged = course.target, course.planned, course.converged
    return Account(
        times={**log.times},
        failures=(*log.failures,),
        fetched=selection.fetched,
        trusted=selection.trusted,
        left_out=selection.left_out,
        fleet=selection.fleet,
        agent=selection.agent,
        failed_at_first=selection.failed_at_first,
        state=course.state,
        hold=(target.hold or target.suspension) if target is not None else None,
        shut=target.gate.intended if target is not None else None,
        plan=planned.plan if planned is not None else None,
        permitted=planned.permitted if planned is not None else None,
        warned=planned.policies.warned if planned is not None and planned.policies is not None else (),
        trial=course.trial,
        outcome=course.outcome,
        after=converged.after if converged is not None else None,
        applied=converged.applied if converged is not None else {},
        rollback=course.rollback,
        health=verdict.health,
        harm=verdict.harm,
        unsettled=not verdict.settled,
        pruned=pruned,
        reboot=ending.reboot,
        update=ending.update,
        may_switch=ending.may_switch,
    )
