"""check: an inventory read in full, for every host. It needs neither root, Git nor a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from agent.cli.annotations import FORMATS, Findings
from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.cli.policy_check import judge_hosts, sound_policies
from agent.domain.desired import DesiredState
from agent.domain.layout import INVENTORIES
from agent.domain.text import escaped, plural, some
from agent.domain.tree import Tree
from agent.errors import InventoryError, UsageError
from agent.inventory.complaint import Complaints, ComplaintsError
from agent.inventory.environment import ConcreteDeploys, Environment
from agent.inventory.fleet import FLEET_FILE
from agent.inventory.lint.check_alone import complain_of_clear_sops_files, complain_of_people, hints, says_nothing
from agent.inventory.load import read
from agent.inventory.source import Source, open_source
from agent.policies import Policies
from agent.remotes import repositories_of_administrator
from agent.steps.resolve import state_of
from agent.system.folder import FolderTree
from agent.system.working_copy import CommittedTree, WorkingCopy, working_copy
from agent.system.yaml import Position, locate


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
    policies = sound_policies(tree, complaints)
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


def tree_of(root: Path, copy: WorkingCopy | None) -> Tree:
    """The files of the folder that a host would get, as they are now: the tracked ones, or without Git all."""
    return FolderTree(root) if copy is None else CommittedTree(root, copy)


def unlike_the_commit(copy: WorkingCopy) -> Iterator[str]:
    """A line for each way in which the folder differs from what hosts get."""
    if copy.uncommitted:
        yield f"not committed yet, judged as it lies here: {some(copy.uncommitted)}"
    if untracked := [path for path in copy.untracked if not path.startswith(".")]:  # a person's own: hidden at the top
        told = some(untracked)
        yield f"not added to Git and not judged, no host gets it: {told}; `git add` what belongs to it"
    if copy.submodules:
        yield f"submodules, which hosts do not fetch: {some(sorted(copy.submodules))}"
    if copy.left_out:
        yield f"left out by hosts: {some(copy.left_out)}"


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

    judge_hosts(policies, environment, wanted(), complaints, doubts)
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
