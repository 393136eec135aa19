"""resolve: turns a trusted commit into the desired state of this host. The only place where digests are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent import __version__
from agent.deploys.spec import Concrete
from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredDeploy, DesiredState, Looking, OnRemove
from agent.domain.digest import FORMAT, JSON, digest_of
from agent.domain.memory import FleetSettings
from agent.domain.pins import Pins, RepositoryPin
from agent.domain.tree import Tree
from agent.inventory.check.fleet_hosts import windows_of
from agent.inventory.environment import ConcreteDeploys, Environment, HostDeploy, Repositories, load, not_fetched

DEPLOYS_FOLDERS = ("deploys", "files", "group_data", "tasks", "templates")
"""What deploy files import and read by the custom of pyinfra."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A trusted commit read as what this host should be, with the environment around it (fleet.yaml, other hosts)."""

    commit: TrustedCommit
    state: DesiredState
    environment: Environment


def resolve(
    commit: TrustedCommit, tree: Tree, *, inventory: str, host: str, repositories: Repositories = not_fetched
) -> Resolution:
    """What ``commit``, whose files are ``tree``, wants of ``host``. Deterministic: ``repositories`` gives the same
    files for the same pin, or none.

    Raises, as one, InventoryError with every complaint, SourceError for each pinned repository that cannot be had, and
    TrustError (kind ``pin-mismatch``) for each that is not what was pinned.
    """
    environment = load(tree, inventory, repositories)
    return Resolution(commit, desired_state(environment, tree, host=host, commit=commit.sha), environment)


def desired_state(environment: Environment, tree: Tree, *, host: str, commit: str) -> DesiredState:
    """The desired state of any host of an environment."""
    return state_of(environment, tree, environment.concrete(host), host=host, commit=commit)


def state_of(environment: Environment, tree: Tree, found: ConcreteDeploys, *, host: str, commit: str) -> DesiredState:
    """What was found of a host's deploys as its desired state; what ``check`` asks of a working copy."""
    deploys = tuple(
        replace(
            _built_in(deploy, concrete) if concrete is not None else _from_file(deploy, tree, environment.pins),
            on_remove=OnRemove(deploy.on_remove, deploy.data, commit) if deploy.on_remove else None,
            health=deploy.health,
            looking=deploy.looking if concrete is None or not concrete.needs_more_to_look else Looking.PRIVILEGED,
        )
        for deploy, concrete in found
    )
    digest = digest_of({"format": FORMAT, "deploys": [[deploy.name, deploy.digest] for deploy in deploys]})
    return DesiredState(host=host, commit=commit, deploys=deploys, digest=digest)


def fleet_settings(environment: Environment, host: str) -> FleetSettings:
    """The part of fleet.yaml that ``host`` remembers beyond the commit."""
    fleet = environment.fleet
    return FleetSettings(
        fetch_s=fleet.schedule.fetch,
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
        reboots=fleet.reboot != "never" and host in environment.inventory.match(fleet.reboot.hosts),
        webhook=fleet.webhook.settings if fleet.webhook is not None else None,
        windows=windows_of(fleet, host, environment.inventory.match),
    )


def _built_in(deploy: HostDeploy, concrete: Concrete) -> DesiredDeploy:
    return DesiredDeploy(
        name=deploy.name,
        kind=deploy.kind,
        arguments=concrete.arguments,
        resources=concrete.resources,
        needs=deploy.needs,
        mode=deploy.mode,
        digest=digest_of(
            {"format": FORMAT, "agent": __version__, "kind": deploy.kind, "arguments": concrete.arguments}
        ),
    )


def _from_file(deploy: HostDeploy, tree: Tree, pins: Pins) -> DesiredDeploy:
    if deploy.repository is None:
        return _from_config_repo(deploy, tree)
    return _from_repository(deploy, pins.repository(deploy.repository))


def _from_repository(deploy: HostDeploy, pin: RepositoryPin) -> DesiredDeploy:
    pinned = [pin.commit, pin.tree]
    return DesiredDeploy(
        name=deploy.name,
        kind=deploy.kind,
        arguments={},
        source=deploy.source,
        repository=pin,
        data=deploy.data,
        needs=deploy.needs,
        mode=deploy.mode,
        digest=digest_of({"format": FORMAT, "repository": pinned, "source": deploy.source, "data": deploy.data}),
    )


def _from_config_repo(deploy: HostDeploy, tree: Tree) -> DesiredDeploy:
    # A deploy file may import its neighbours and read their files, so all of these folders counts.
    entries = (entry for folder in DEPLOYS_FOLDERS for entry in tree.entries(folder))
    sources: Sequence[JSON] = [[entry.path, entry.mode, entry.blob] for entry in entries]
    data: Mapping[str, JSON] = deploy.data
    return DesiredDeploy(
        name=deploy.name,
        kind=deploy.kind,
        arguments={},
        source=deploy.source,
        data=data,
        needs=deploy.needs,
        mode=deploy.mode,
        digest=digest_of({"format": FORMAT, "source": deploy.source, "data": data, "deploys": sources}),
    )
