"""`hostwright plan`: what the commit aimed at would change on this host now, what of it waits and for what, and whether
a newer commit waits. By the steps of a cycle, without its lock, and with nothing written but scratch files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import wiring
from agent.domain.account import Account
from agent.domain.desired import DesiredState
from agent.domain.plan import Hold, HoldKind, Plan
from agent.domain.removal import Leaving
from agent.engine.client import Engine
from agent.errors import DeployError, HostwrightError, InventoryError, SourceError
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.select_target import gate_of
from agent.steps.choose import suspension
from agent.steps.permit import permit, permit_rules
from agent.steps.plan import make_plan
from agent.steps.plan_removals import plan_removals
from agent.steps.probe import probe
from agent.steps.prune import unfit, units_going, untold
from agent.steps.record import wanted_by
from agent.steps.resolve import Resolution, resolve
from agent.steps.verify import recall


@dataclass(frozen=True, slots=True)
class HostPlan:
    """``holds``: by deploy, why it may not begin now. ``newest``: a trusted commit that wants something else and is not
    aimed at, and why not, in words."""

    state: DesiredState
    plan: Plan
    holds: Mapping[str, Hold]
    leaving: Leaving
    newest: tuple[str, str] | None


def plan_host(paths: Paths, work: Path) -> HostPlan:
    """Scratch files go to ``work``. Raises HostwrightError where the host has followed nothing yet, or the commit
    cannot be read."""
    settings, memory = read_settings(paths), Memory(paths)
    last = memory.trust().last
    aimed = memory.state().aimed_commit or last
    if aimed is None or last is None:
        raise SourceError(
            "no commit has been fetched yet", kind=ProblemKind.NO_COMMIT, hint="run `hostwright apply` first"
        )
    mirror = wiring.mirror_of_host(paths, settings)
    repositories = wiring.repositories_of_host(paths, settings)

    def resolved(sha: str) -> Resolution:
        return resolve(
            recall(sha, mirror=mirror, last=last),
            mirror.tree(sha),
            inventory=settings.inventory,
            host=settings.host,
            repositories=repositories.tree,
        )

    resolution = resolved(aimed)
    state, before, now = resolution.state, memory.applied(), wiring.clock()
    found = make_plan(
        state,
        engine=Engine(work=work, timeout_s=memory.state().fleet.deploy_timeout_s, repositories=paths.repositories),
        root=Exports(work / "commits", mirror).folder(resolution.commit),  # a cycle may collect its own meanwhile
        applied=before.deploys,
        interrupted=Journal(paths.journal).interrupted(state.enforced),
    )
    shut = gate_of(memory, memory.state().fleet, now)
    suspended = suspension(memory.suspension(now), resolution.environment, settings.host, now)
    attempts = memory.state().attempts
    rules = permit_rules(state, suspension=suspended, attempts=attempts, now=now, waits_for_backoff=True, gate=shut)
    holds = permit(found, rules).deploy_holds
    waits = suspended or shut.intended
    why = _why_not(memory, state, lambda: resolved(last).state, waits, now) if last != aimed else ""
    newest = (last, why) if why else None
    if untold(state, found) or before.commit is None:
        return HostPlan(state, found, holds, Leaving(), newest)  # what is wanted is not known, or nothing ever was
    then = Account(
        state=state,
        after=dataclasses.replace(found, deploys=()),
        hold=suspended,
        shut=shut.intended,
        failures=_failed(memory, state, now),
        health=probe(paths.var, memory.state().failed_at_first or ()),
    )
    ledger = Ledger(paths.ledger)
    going = units_going(ledger.entries(), wanted_by(state, found, before.deploys))
    leaving = plan_removals(
        state,
        found,
        idle=resolution.environment.idle(),
        before=before,
        applied=before.deploys,
        memory=memory.state(),
        waits=unfit(then, converged=True, going=going),
        inventory=settings.inventory,
        fleet=memory.state().fleet,
        ledger=ledger,
        mirror=mirror,
    )
    return HostPlan(state, found, holds, leaving, newest)


def _why_not(memory: Memory, state: DesiredState, read: Callable[[], DesiredState], held: Hold | None, now: int) -> str:
    """Why the commit trusted last is not aimed at; empty where it wants nothing else of this host."""
    try:
        candidate = read()
    except InventoryError as error:
        return f"it cannot be read: {error.message.splitlines()[0]}"
    if candidate.digest == state.digest:
        return ""
    bad = memory.bad().get(candidate.digest)
    if (pinned := memory.pinned(now)) is not None:
        held = Hold(HoldKind.PINNED, "a person said so on this host", pinned.until)
    elif bad is not None and bad.holds(now):
        held = bad.hold
    return held.told if held is not None else "the next cycle goes on to it"


def _failed(memory: Memory, state: DesiredState, now: int) -> list[HostwrightError]:
    """The deploys that failed a short while ago, and will not be tried before their time."""
    attempts = memory.state().attempts
    return [
        DeployError(f"{deploy.name} failed: {attempt.error}")
        for deploy in state.deploys
        if (attempt := attempts.get(deploy.name)) is not None and attempt.digest == deploy.digest and attempt.waits(now)
    ]
