"""What `hostwright check` says of policies: of the rules themselves, and what they say of each host's desired state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from agent.domain.desired import DesiredState
from agent.domain.layout import INVENTORIES
from agent.domain.policy import FOLDER, PolicyInput, RuleMessage
from agent.domain.tree import Tree
from agent.errors import InventoryError
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
    """The policies that hosts can be judged by; None where there are none, or something is wrong with them."""
    for path in tree.paths(FOLDER):
        if path.lower().endswith(_RULES) and not path.endswith(_RULES):
            complaints.add(Position(path), (), "nobody reads this", f"call it {path[: -len(_RULES)]}{_RULES}")
    own = Complaints()
    try:
        policies = policies_of(tree)
    except InventoryError as error:
        complaints.add(Position(FOLDER), (), error.message, "save it as UTF-8")
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
    """Goes through all ``hosts``, complains of what the rules deny, and doubts what they warn of."""
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
    deque(hosts, maxlen=0)  # whoever is not judged is read all the same


def _place(said: RuleMessage, deploys: ConcreteDeploys) -> tuple[Position, tuple[int | str, ...]] | None:
    """The place in site.yaml of what a rule is about; None where it names nothing that there is."""
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
