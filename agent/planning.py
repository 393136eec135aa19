"""`hostwright plan`: the changes that the commit aimed at would make on this host now, those that wait, and a newer
commit that waits. `hostwright plan HOST`, on that host: the changes that files from an administrator would make.

Both use the steps of a cycle, confined as there. They take no lock, and write nothing but scratch files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from agent import wiring
from agent.converge import plan_changes, plan_state, rules_now
from agent.domain.account import Account
from agent.domain.desired import DesiredState
from agent.domain.memory import FleetSettings
from agent.domain.plan import Hold, HoldKind, Plan
from agent.domain.removal import Leaving
from agent.errors import DeployError, HostwrightError, InventoryError, SourceError
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.parts import Parts
from agent.phases import Planned
from agent.problems import ProblemKind
from agent.select_target import gate_of, known_as_bad, resolved
from agent.steps.choose import Target, suspension
from agent.steps.deny import HostPolicies
from agent.steps.permit import permit_rules
from agent.steps.plan_removals import plan_removals
from agent.steps.probe import probe
from agent.steps.prune import leaving_units, unfit, untold
from agent.steps.record import wanted_by
from agent.steps.verify import recall
from agent.system.mirror import Mirror


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A plan of this host. ``leaving``: what it would remove. ``newest``: a newer trusted commit that wants something
    else, and the reason why it is not aimed at, in words; None without one."""

    planned: Planned
    leaving: Leaving = field(default_factory=Leaving)
    newest: tuple[str, str] | None = None

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @property
    def holds(self) -> Mapping[str, Hold]:
        """The holds on whole deploys, by name."""
        return self.planned.permitted.deploy_holds

    @property
    def warned(self) -> tuple[str, ...]:
        """The warnings of the policies."""
        return self.planned.policies.warned if self.planned.policies is not None else ()


def plan_host(paths: Paths, work: Path) -> HostPlan:
    """Plan the commit that this host aims at. ``work``: the folder for scratch files. Raises HostwrightError where the
    host has followed nothing yet, or the commit cannot be read."""
    parts = wiring.parts_of_plan(paths, work)
    memory, now = parts.memory, parts.clock()
    last, fleet = memory.trust().last, memory.state().fleet
    aimed = memory.state().aimed_commit or last
    if aimed is None or last is None:
        raise SourceError("no commit has been fetched yet", kind=ProblemKind.NO_COMMIT, hint="run `hostwright apply`")
    resolution = resolved(parts, recall(aimed, mirror=parts.mirror, last=last))
    suspended = suspension(memory.suspension(now), resolution.terms, now)
    target = Target(resolution, suspension=suspended, gate=gate_of(memory, fleet, now))
    planned = plan_changes(parts, target, rules_now(parts, target, waits_for_backoff=True), memory.applied().deploys)
    why = _why_not(parts, planned.state, last, suspended or target.gate.intended, now) if last != aimed else ""
    leaving = planned_removals(parts, planned, idle=resolution.terms.idle, fleet=fleet, mirror=parts.mirror)
    return HostPlan(planned, leaving, (last, why) if why else None)


def plan_sent(paths: Paths, work: Path, stream: BinaryIO) -> HostPlan:
    """Plan the files in ``stream``, as ``packed_tree.packed`` sent them. ``work``: the folder for scratch files. The
    files need no signature, because the sender is root on this host. Raises SourceError and InventoryError."""
    from agent.inventory.load import load  # not loaded for the plan of a commit, which the last cycle resolved
    from agent.steps.resolve import desired_state, host_terms
    from agent.system.packed_tree import unpacked

    parts = wiring.parts_of_plan(paths, work)
    memory, now, host = parts.memory, parts.clock(), parts.settings.host
    (tree, sent), root = unpacked(stream, work / "sent.git"), work / "sent"
    environment = load(tree, parts.settings.inventory, parts.repositories.tree)
    state = desired_state(environment, tree, host=host, commit=tree.root)
    terms = host_terms(environment, host)
    tree.export(sent, root)
    rules = permit_rules(
        state,
        gate=gate_of(memory, terms.fleet, now),
        suspension=suspension(memory.suspension(now), terms, now),
        attempts=memory.state().attempts,
        now=now,
        waits_for_backoff=False,
    )
    policies = HostPolicies(lambda: tree, state, inventory=parts.settings.inventory, groups=terms.groups)
    planned = plan_state(parts, state, root, rules, memory.applied().deploys, policies=policies)
    return HostPlan(planned, planned_removals(parts, planned, idle=terms.idle, fleet=terms.fleet, mirror=None))


def planned_removals(
    parts: Parts, planned: Planned, *, idle: Mapping[str, str], fleet: FleetSettings, mirror: Mirror | None
) -> Leaving:
    """The removals that would follow ``planned``. ``mirror``: holds the commit of the plan, whose trailers may allow
    more removals; None for files in no commit."""
    assert planned.policies is not None  # it is None only on the way back, which nobody plans
    memory, before, state = parts.memory, parts.memory.applied(), planned.state
    if untold(state, planned.plan) or before.commit is None:
        return Leaving()  # nobody knows what is wanted, or nothing was ever applied
    wanted = wanted_by(state, planned.plan, before.deploys)
    removals = partial(
        plan_removals,
        state,
        wanted=wanted,
        idle=idle,
        before=before,
        memory=memory.state(),
        inventory=parts.settings.inventory,
        fleet=fleet,
        ledger=parts.ledger,
        mirror=mirror,
        hold_denied=planned.policies.hold_denied,
    )
    leaving = removals()
    if leaving.removals or leaving.departures:  # only then does the health of the host matter
        then = Account(
            state=state,
            after=replace(planned.plan, deploys=()),
            hold=planned.rules.everything,
            shut=planned.rules.gate.intended,
            failures=_failed(memory, state, parts.clock()),
            health=probe(parts.paths.var, memory.state().failed_at_first or ()),
        )
        units = leaving_units(parts.ledger.entries(), wanted)
        return removals(waits=unfit(then, converged=True, excused=units))
    return leaving


def _why_not(parts: Parts, state: DesiredState, last: str, held: Hold | None, now: int) -> str:
    """The reason why the commit trusted last is not aimed at, in words; empty if it wants the same of this host."""
    try:
        candidate = resolved(parts, recall(last, mirror=parts.mirror, last=last))
    except InventoryError as error:
        return f"it cannot be read: {error.message.splitlines()[0]}"
    if candidate.state.digest == state.digest:
        return ""
    if (pinned := parts.memory.pinned(now)) is not None:
        held = Hold(HoldKind.PINNED, "a person said so on this host", pinned.until)
    else:
        held = known_as_bad(parts, candidate) or held
    return held.full_text if held is not None else "the next cycle goes on to it"


def _failed(memory: Memory, state: DesiredState, now: int) -> list[HostwrightError]:
    """An error for each deploy that failed, and waits until its next try is due."""
    attempts = memory.state().attempts
    return [
        DeployError(f"{deploy.name} failed: {attempt.error}")
        for deploy in state.deploys
        if (attempt := attempts.get(deploy.name)) is not None and attempt.digest == deploy.digest and attempt.waits(now)
    ]
