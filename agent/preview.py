"""`hostwright plan HOST`, on that host: what files that an administrator sent would change. By the steps of a cycle, as
``planning`` does, and confined as there."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from agent import wiring
from agent.converge import plan_state
from agent.host.paths import Paths
from agent.inventory.load import load
from agent.planning import HostPlan, planned_removals
from agent.select_target import gate_of
from agent.steps.choose import suspension
from agent.steps.deny import HostPolicies
from agent.steps.permit import permit_rules
from agent.steps.resolve import desired_state, host_terms
from agent.system.packed_tree import unpacked


def preview(paths: Paths, work: Path, stream: BinaryIO) -> HostPlan:
    """What the files that ``packed_tree.packed`` sent would change. Nobody vouches for them: whoever sends them is root
    here. Raises SourceError and InventoryError."""
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
