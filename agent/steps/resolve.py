"""resolve: turns a trusted commit into the desired state of this host. Its digests are made here alone."""

from __future__ import annotations

from dataclasses import replace

from agent import __version__
from agent.deploys.spec import Concrete
from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredDeploy, DesiredState, Looking, OnRemove
from agent.domain.digest import FORMAT, JSON, canonical, digest_of, digest_of_canonical
from agent.domain.memory import FleetSettings, Suspension
from agent.domain.pins import Pins
from agent.domain.resolution import HostTerms, Resolution
from agent.domain.sealed import OPEN, calls
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.inventory.environment import ConcreteDeploys, Environment, HostDeploy
from agent.inventory.load import load
from agent.inventory.other_repositories import ReadRepository, not_fetched
from agent.system.git_tree import CommitTree

DEPLOYS_FOLDERS = ("deploys", "files", "group_data", "tasks", "templates")
"""Folders that deploy files import and read from, by the custom of pyinfra."""


def resolve(
    commit: TrustedCommit, tree: CommitTree, *, inventory: str, host: str, repositories: ReadRepository = not_fetched
) -> Resolution:
    """The desired state and the terms of ``host`` by ``commit``, whose files are ``tree``. Deterministic:
    ``repositories`` gives the same files for the same pin, or none.

    Raises, as one, InventoryError with every complaint, SourceError for each pinned repository that cannot be had, and
    TrustError (kind ``pin-mismatch``) for each that is not what was pinned.
    """
    environment = load(tree, inventory, repositories)
    state = desired_state(environment, tree, host=host, commit=commit.sha)
    terms = host_terms(environment, host)
    return Resolution(commit, state, replace(terms, left_out=(*tree.left_out(), *terms.left_out)))


def desired_state(environment: Environment, tree: Tree, *, host: str, commit: str) -> DesiredState:
    """The desired state of any host of an environment."""
    return state_of(environment, tree, environment.concrete(host), host=host, commit=commit)


def state_of(environment: Environment, tree: Tree, found: ConcreteDeploys, *, host: str, commit: str) -> DesiredState:
    """The desired state of a host by what was ``found`` of its deploys; `hostwright check` makes it of a working
    copy."""
    deploys = tuple(_desired(deploy, concrete, environment.pins, tree, commit) for deploy, concrete in found)
    digest = digest_of({"format": FORMAT, "deploys": [[deploy.name, deploy.digest] for deploy in deploys]})
    return DesiredState(host=host, commit=commit, deploys=deploys, digest=digest)


def host_terms(environment: Environment, host: str) -> HostTerms:
    """The terms of ``host``: what the inventory says of it besides its desired state. That has to be made first: only
    then it is known which repositories are used."""
    asked, lock, match = environment.fleet.agent.requirement, environment.lock, environment.inventory.match
    agent, unlocked = None, ""
    if asked is not None:
        try:
            agent = lock.agent_for(asked)
        except InventoryError as error:
            unlocked = error.message
    suspensions = (entry for entry in environment.fleet.suspend if host in match(entry.hosts))
    return HostTerms(
        fleet=fleet_settings(environment, host),
        agent=agent,
        agent_unlocked=unlocked,
        suspensions=tuple(Suspension(entry.reason, 0, entry.until) for entry in suspensions),
        idle=environment.idle(),
        left_out=environment.others.left_out,
        repositories=environment.others.used,
        kept=tuple(sorted({pin.tree for pin in lock.repositories.values()})),
        groups=tuple(environment.inventory.group_names(host)),
    )


def fleet_settings(environment: Environment, host: str) -> FleetSettings:
    """The part of fleet.yaml that ``host`` remembers beyond the commit."""
    fleet, match = environment.fleet, environment.inventory.match
    return FleetSettings(
        fetch_s=fleet.schedule.fetch,
        watch=fleet.schedule.watch,
        drift_s=fleet.schedule.drift,
        plan_s=fleet.schedule.plan,
        deploy_timeout_s=fleet.schedule.deploy_timeout,
        settle_s=fleet.schedule.settle,
        status_remote=None if fleet.status.remote == "same" else fleet.status.remote,
        render=fleet.status.render == "hosts",
        pushes_per_minute=fleet.status.pushes_per_minute,
        prune_max=fleet.prune.max,
        prune_percent=fleet.prune.max_percent,
        counts=fleet.status.diff == "own",
        hosts=len(environment.inventory.hosts),
        accept=fleet.trust.accepts,
        reboots=fleet.reboot != "never" and host in match(fleet.reboot.hosts),
        webhook=fleet.webhook.settings if fleet.webhook is not None else None,
        windows=tuple(window.settings for window in fleet.windows if host in match(window.hosts)),
    )


def _desired(deploy: HostDeploy, concrete: Concrete | None, pins: Pins, tree: Tree, commit: str) -> DesiredDeploy:
    pin = pins.repository(deploy.repository) if deploy.repository is not None else None
    wants: dict[str, JSON]
    if concrete is not None:
        wants = {"agent": __version__, "kind": deploy.kind, "arguments": concrete.arguments}
    elif pin is not None:
        wants = {"repository": [pin.commit, pin.tree], "source": deploy.source, "data": deploy.data}
    else:
        # A deploy file may import its neighbours and read their files, so all files in these folders count.
        entries = (entry for folder in DEPLOYS_FOLDERS for entry in tree.entries(folder))
        files: list[JSON] = [[entry.path, entry.mode, entry.blob] for entry in entries]
        wants = {"source": deploy.source, "data": deploy.data, "deploys": files}
    document = canonical({"format": FORMAT, **wants})
    privileged = concrete is not None and concrete.needs_more_to_look
    return DesiredDeploy(
        name=deploy.name,
        kind=deploy.kind,
        arguments=concrete.arguments if concrete is not None else {},
        digest=digest_of_canonical(document),
        resources=concrete.resources if concrete is not None else (),
        source=deploy.source,
        data=deploy.data if concrete is None else {},
        needs=deploy.needs,
        mode=deploy.mode,
        repository=pin,
        on_remove=OnRemove(deploy.on_remove, deploy.data, commit) if deploy.on_remove else None,
        health=deploy.health,
        looking=Looking.PRIVILEGED if privileged else deploy.looking,
        secrets=calls(document.decode()) if OPEN.encode() in document else (),
    )
