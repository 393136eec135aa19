"""check: an inventory read in full, for every host. It needs neither root, Git nor a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import click

from agent.cli.annotations import FORMATS, Findings
from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import tree_of, unlike_the_commit
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain import policy
from agent.domain.desired import DesiredState
from agent.domain.layout import INVENTORIES
from agent.domain.policy import PolicyInput, RuleMessage
from agent.domain.text import escaped, plural, some
from agent.domain.tree import Tree
from agent.errors import InventoryError, UsageError
from agent.inventory.complaint import Complaints, ComplaintsError
from agent.inventory.environment import ConcreteDeploys, Environment
from agent.inventory.fleet import FLEET_FILE
from agent.inventory.lint.check_alone import complain_of_clear_sops_files, complain_of_people, hints, says_nothing
from agent.inventory.load import read
from agent.inventory.site import SITE_FILE
from agent.inventory.source import COPY, Source, is_expected_beside, open_source
from agent.policies import NO_INTERPRETER, Policies, policies_of
from agent.remotes import repositories_of_administrator
from agent.steps.deny import policy_input
from agent.steps.resolve import state_of
from agent.system.document import Position, locate
from agent.system.rego import RegoError, has_interpreter
from agent.system.working_copy import working_copy

_RULES = ".rego"
_DATA = (".json", ".yaml", ".yml")


@click.command(cls=CliCommand)
@click.option("--github", is_flag=True, help="Workflow commands on stdout: marks on the lines.")
@click.option("--gitlab", is_flag=True, help="A Code Quality report on stdout.")
@click.option("--sarif", is_flag=True, help="A SARIF 2.1.0 log on stdout.")
def check(output: Output, repo: ConfigRepo, *, github: bool, gitlab: bool, sarif: bool) -> Reply:
    """Check an inventory: every file, every deploy of every host."""
    forms = {"github": github, "gitlab": gitlab, "sarif": sarif, "json": output.as_json}
    asked = [name for name, wanted in forms.items() if wanted]
    if len(asked) > 1:
        named = " and ".join(f"--{name}" for name in asked)
        raise UsageError(f"{named} are forms of the same", hint="leave all but one of them out")
    form = next((name for name in asked if name in FORMATS), None)
    root, names = repo.root, repo.inventories()
    copy = working_copy(root)
    complaints, doubts = Complaints(), Complaints()
    checked: dict[str, Any] = {}
    for line in unlike_the_commit(copy) if copy is not None else ():
        output.say(line)
    tree = tree_of(root, copy)
    for hint in hints(tree):
        doubts.put(hint)
    complain_of_clear_sops_files(tree, complaints)
    policies = _sound_policies(tree, complaints)
    fine = "" if complaints else ", fine"
    for name in names:
        try:
            checked[name] = _check(output, tree, name, policies, doubts)
        except ComplaintsError as error:
            complaints.take(error)
        except InventoryError as error:
            complaints.add(Position(f"{INVENTORIES}/{name}"), (), error.message, error.hint)
    mistakes = complaints.sorted
    known = {(mistake.position, mistake.problem) for mistake in mistakes}
    findings = Findings(mistakes, tuple(hint for hint in doubts.sorted if (hint.position, hint.problem) not in known))
    for hint in findings.hints:
        output.say(f"{hint}")
    if form is not None:
        output.write(FORMATS[form](findings))
    else:
        for name, hosts in checked.items():
            output.show(f"{escaped(name)}: {len(hosts)} {plural('host', len(hosts))}{fine}")
    documents = [hint.document() for hint in findings.hints]
    if not findings.mistakes:
        return Reply(checked, more={"hints": documents})
    wrong = ComplaintsError(findings.mistakes)
    output.problem(wrong)
    return Reply(None, wrong.exit, [wrong], {"hints": documents})


def _check(
    output: Output, tree: Tree, name: str, policies: Policies | None, doubts: Complaints
) -> dict[str, str | None]:
    """The digest of the desired state of each host; None for a host that needs a repository which is not here. Hints go
    to ``doubts``. Raises ComplaintsError with the complaints about all hosts and about single ones."""
    environment, complaints = read(tree, name, repositories_of_administrator(fetch=False).tree)
    digests: dict[str, str | None] = {}

    def wanted() -> Iterator[tuple[DesiredState, ConcreteDeploys]]:
        for host, found in environment.each(complaints):
            digests[host] = None
            if found is not None:
                state = state_of(environment, tree, found, host=host, commit="0" * 40)
                digests[host] = state.digest
                yield state, found

    _judge_hosts(policies, environment, wanted(), complaints, doubts)
    inventory, source = environment.inventory, open_source(tree, name)
    complain_of_people(source, inventory.hosts if inventory.complete else None, complaints)
    _complain_of_agent(environment, source, complaints)
    rests_on = tuple(f"{source.folder}/{name}" for name in ("hosts", "lock.yaml", "admins", "identities", "secrets"))
    if not any(mistake.position.file.startswith(rests_on) for mistake in complaints.sorted):
        for hint in environment.audit():
            doubts.put(hint)
    complaints.raise_if_any()
    for hint in says_nothing(source, inventory.hosts, plays=bool(environment.plays)):
        doubts.put(hint)
    if environment.others.left_out:
        output.say(f"{escaped(name)}: left out by hosts: {some(environment.others.left_out)}")
    for line in complaints.unseen:
        output.say(f"{escaped(name)}: {escaped(line)} and was not looked at; hostwright lock fetches it")
    return digests


def _complain_of_agent(environment: Environment, source: Source, complaints: Complaints) -> None:
    """Complain if lock.yaml has no pin for the wanted version of the agent: hosts take such a commit, but keep the
    version that they have."""
    required = environment.fleet.agent.requirement
    if required is not None and environment.pinned:
        try:
            environment.lock.agent_for(required)
        except InventoryError as error:
            path = ("agent", "version")
            root = source.mapping(FLEET_FILE, Complaints(), "")
            position = locate(root, path) if root is not None else Position(f"{source.folder}/{FLEET_FILE}")
            complaints.add(position, path, error.message, "run `hostwright lock`; hosts keep their version until then")


def _sound_policies(tree: Tree, complaints: Complaints) -> Policies | None:
    """The policies by which hosts can be judged; None if there are none, or if they have a mistake, which is then among
    ``complaints``."""
    _complain_of_strays(tree, complaints)
    own = Complaints()
    try:
        policies = policies_of(tree)
    except RegoError as error:
        _add_fault(complaints, error)
        return None
    if not (policies.modules or policies.tests):
        return None
    if not has_interpreter():
        complaints.add(Position(min({**policies.modules, **policies.tests})), (), *NO_INTERPRETER)
        return None
    for path in tree.paths(policy.FOLDER):
        if path.endswith(_DATA) and "/." not in path:
            own.add(Position(path), (), "nobody reads this", "write what rules compare with into a .rego file")
    try:
        for fault in policies.faults():
            _add_fault(own, fault)
    except RegoError as error:
        _add_fault(own, error)
    complaints.include(own)
    return None if own else policies


def _complain_of_strays(tree: Tree, complaints: Complaints) -> None:
    """Complain of files that look like rules and that nobody reads, so that nothing is judged by them. Files for people
    and hidden ones, such as those of editors, are left alone."""
    for path in tree.paths(policy.FOLDER):
        entry = tree.entry(path)
        if path == policy.FOLDER:
            complaints.add(Position(path), (), "a folder is expected here", f"write {policy.FOLDER}/<name>{_RULES}")
        elif is_expected_beside(path.rpartition("/")[2]) and not path.endswith(f"{_RULES}.txt"):
            continue
        elif _RULES in path.lower() and not path.endswith(_RULES):
            meant = f"{path[: path.lower().index(_RULES)]}{_RULES}"
            said = COPY if tree.entry(meant) is not None else ("nobody reads this", f"call it {meant}")
            complaints.add(Position(path), (), *said)
        elif path.endswith(_RULES) and entry is not None and entry.link:
            complaints.add(Position(path), (), "a symbolic link, which is not followed", "put the file there")


def _judge_hosts(
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
                complaints.add(*(_place_of(said, deploys) or (otherwise, ())), f"denied: {said.message}", "", host=host)
            for said in verdict.warned:
                doubts.add(*(_place_of(said, deploys) or (otherwise, ())), f"warning: {said.message}", "", host=host)
    except RegoError as error:
        _add_fault(complaints, error, host=waiting[0][0])
    deque(hosts, maxlen=0)  # the caller needs all hosts read, also those that are not judged


def _place_of(said: RuleMessage, deploys: ConcreteDeploys) -> tuple[Position, tuple[int | str, ...]] | None:
    """The place in site.yaml of the resource or deploy that a rule's message names; None if there is no such one."""
    for deploy, concrete in deploys:
        resources = concrete.resources if concrete is not None else ()
        if said.resource and any(resource.key == said.resource for resource in resources):
            return deploy.place_of_resource(said.resource)
    for deploy, _ in deploys:
        if said.deploy == deploy.name:
            return deploy.place(())
    return None


def _add_fault(complaints: Complaints, error: RegoError, *, host: str = "") -> None:
    complaints.add(
        Position(error.file or policy.FOLDER, error.line, error.column), (), error.message, error.remedy, host=host
    )
