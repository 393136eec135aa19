"""The policies in `hostwright check`: mistakes in the rules, and their verdicts about each host's desired state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from agent.domain.desired import DesiredState
from agent.domain.layout import INVENTORIES
from agent.domain.policy import FOLDER, PolicyInput, RuleMessage
from agent.domain.tree import Tree
from agent.inventory.complaint import Complaints
from agent.inventory.environment import ConcreteDeploys, Environment
from agent.inventory.site import SITE_FILE
from agent.policies import NO_INTERPRETER, Policies, policies_of
from agent.steps.deny import policy_input
from agent.system.rego import RegoError, has_interpreter
from agent.system.yaml import Position

_RULES = ".rego"
_DATA = (".json", ".yaml", ".yml")


def sound_policies(tree: Tree, complaints: Complaints) -> Policies | None:
    """The policies by which hosts can be judged; None if there are none, or if they have a mistake, which is then among
    ``complaints``."""
    for path in tree.paths(FOLDER):
        if path.lower().endswith(_RULES) and not path.endswith(_RULES):
            complaints.add(Position(path), (), "nobody reads this", f"call it {path[: -len(_RULES)]}{_RULES}")
    own = Complaints()
    try:
        policies = policies_of(tree)
    except RegoError as error:
        _add(complaints, error)
        return None
    if not (policies.modules or policies.tests):
        return None
    if not has_interpreter():
        complaints.add(Position(min({**policies.modules, **policies.tests})), (), *NO_INTERPRETER)
        return None
    for path in tree.paths(FOLDER):
        if path.endswith(_DATA) and "/." not in path:
            own.add(Position(path), (), "nobody reads this", "write what rules compare with into a .rego file")
    try:
        for fault in policies.faults():
            _add(own, fault)
    except RegoError as error:
        _add(own, error)
    complaints.include(own)
    return None if own else policies


def judge_hosts(
    policies: Policies | None,
    environment: Environment,
    hosts: Iterator[tuple[DesiredState, ConcreteDeploys]],
    complaints: Complaints,
    doubts: Complaints,
) -> None:
    """Judge all ``hosts``: add what the rules deny to ``complaints``, and what they warn of to ``doubts``. All of
    ``hosts`` is read, also without policies."""
    waiting: deque[tuple[str, ConcreteDeploys]] = deque()
    inventory, otherwise = environment.inventory, Position(f"{INVENTORIES}/{environment.name}/{SITE_FILE}")

    def inputs() -> Iterator[PolicyInput]:
        for state, deploys in hosts:
            waiting.append((state.host, deploys))
            yield policy_input(state, inventory=environment.name, groups=tuple(inventory.group_names(state.host)))

    try:
        for verdict in policies.judge(inputs()) if policies is not None else ():
            host, deploys = waiting.popleft()
            for said in verdict.denied:
                complaints.add(*(_place(said, deploys) or (otherwise, ())), f"denied: {said.message}", "", host=host)
            for said in verdict.warned:
                doubts.add(*(_place(said, deploys) or (otherwise, ())), f"warning: {said.message}", "", host=host)
    except RegoError as error:
        _add(complaints, error, host=waiting[0][0])
    deque(hosts, maxlen=0)  # the caller needs all hosts read, also those that are not judged


def _place(said: RuleMessage, deploys: ConcreteDeploys) -> tuple[Position, tuple[int | str, ...]] | None:
    """The place in site.yaml of the resource or deploy that a rule's message names; None if there is no such one."""
    for deploy, concrete in deploys:
        resources = concrete.resources if concrete is not None else ()
        if said.resource and any(resource.key == said.resource for resource in resources):
            return deploy.place_of_resource(said.resource)
    for deploy, _ in deploys:
        if said.deploy == deploy.name:
            return deploy.place(())
    return None


def _add(complaints: Complaints, error: RegoError, *, host: str = "") -> None:
    complaints.add(Position(error.file or FOLDER, error.line, error.column), (), error.message, error.remedy, host=host)
