"""One inventory as a whole: the deploys of each host, from the files of a config repo.

hosts.yaml, group_vars, host_vars ─Inventory→ ┐
site.yaml ─plays→ ─────────────────────────── ┼→ merge ─HostDeploy→
tools.yaml, lock.yaml ─Pins→                  │
fleet.yaml ─Fleet→                            ┘
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from agent.deploys.spec import Concrete, Spec
from agent.domain.address import Address
from agent.domain.digest import JSON, canonical
from agent.domain.fault import Fault, Mistake
from agent.domain.layout import INVENTORIES
from agent.domain.pins import Pins, RepositoryPin
from agent.domain.sealed import is_sealed, sealed_at
from agent.domain.tree import Tree
from agent.errors import InventoryError, SourceError, TrustError, together
from agent.inventory import provider_calls
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.complaint import Complaint, Complaints, ComplaintsError
from agent.inventory.fleet import FLEET_FILE, Fleet
from agent.inventory.lint.conflicts import conflicts, contradictions, unmet_needs
from agent.inventory.lock import AGENT, Lock, stale
from agent.inventory.lookups import lookups
from agent.inventory.merge_plays import HostDeploy, PlayMerge
from agent.inventory.other_repositories import OtherRepositories
from agent.inventory.recipients import Recipients, audit
from agent.inventory.secrets import SecretFiles
from agent.inventory.site import Play
from agent.inventory.source import open_source
from agent.inventory.template.render import HostValues, HostVars, Renderer, TemplateProblem
from agent.inventory.tools import DeclaredTool, PythonTool
from agent.problems import ProblemKind
from agent.system.document import Position

__all__ = ["Environment", "HostDeploy", "HostSources"]


ConcreteDeploys = tuple[tuple[HostDeploy, Concrete | None], ...]
"""The deploys of a host in order, each built-in with its concrete arguments; None beside a deploy file."""


@dataclass(frozen=True, slots=True)
class HostSources:
    """The files of the config repo and the values of one host (``deploys.spec.Sources``)."""

    tree: Tree
    values: HostValues
    pins: Pins
    inventory: str
    others: OtherRepositories
    problems: list[TemplateProblem] | None = None
    """The problems of templates that did not render. None: each is raised."""

    def repository(self, pin: RepositoryPin) -> Tree:
        return self.others.tree(pin)

    def render(self, template: str, origin: str) -> str:
        try:
            return self.values.text(template, Position(origin))
        except TemplateProblem as problem:
            if self.problems is None:
                raise
            self.problems.append(problem)
        return ""


@dataclass(eq=False)
class Environment:
    """One inventory with all its files. ``lock`` is lock.yaml as it is; ``pins`` leaves out tools whose pin is
    outdated."""

    tree: Tree
    name: str
    inventory: Inventory
    plays: tuple[Play, ...]
    fleet: Fleet
    tools: Mapping[str, DeclaredTool]
    lock: Lock
    others: OtherRepositories
    recipients: Recipients
    pinned: bool
    """True if there were no complaints about tools.yaml and lock.yaml. Otherwise a missing pin is no complaint."""
    fleet_read: bool
    """True if there were no complaints about fleet.yaml. Otherwise ``fleet`` may hold the defaults."""

    def __post_init__(self) -> None:
        self.pins = self.lock.pins(self.tools)
        self.secrets = SecretFiles(open_source(self.tree, self.name), self.inventory.groups, self.inventory.hosts)
        self._plays = [(play, frozenset(self.inventory.match(play.hosts))) for play in self.plays]
        self._renderer = Renderer()
        self._values: dict[str, HostValues] = {}
        self._lookups = lookups(self.tree)
        self._groups = {name: list(hosts) for name, hosts in self.inventory.groups.items()}
        self._hostvars = HostVars(self.inventory.hosts, self.values)

    def deploys(self, host: str) -> tuple[HostDeploy, ...]:
        """The deploys of ``host``: rendered, merged, in order. Raises InventoryError with every complaint; kind
        ``host-unknown`` for an unknown host."""
        complaints = Complaints(host)
        deploys = self._deploys(complaints)
        complaints.raise_if_any()
        return deploys

    def concrete(self, host: str) -> ConcreteDeploys:
        """``deploys``, each built-in with its concrete arguments; None for deploy files. Raises one error for all:
        complaints (InventoryError), repositories that were not fetched (kind ``not-fetched``) or cannot be read
        (SourceError, TrustError)."""
        complaints = Complaints(host)
        found = self._concretes(complaints)
        if errors := complaints.errors:
            raise together(errors)
        return found

    def agent(self) -> PythonTool | None:
        """The agent as a tool to lock; None where fleet.yaml names no version."""
        required = self.fleet.agent.requirement
        return None if required is None else PythonTool(AGENT, AGENT, required, {}, Position(FLEET_FILE))

    def stale(self) -> Iterator[str]:
        """One line for everything that `hostwright lock` would change."""
        yield from stale(self.lock, self.tools, self.addresses(), self.fleet.agent.requirement)
        folder = f"{INVENTORIES}/{self.name}/"
        yield from (f"{complaint}".removeprefix(folder) for complaint in self.audit())

    def audit(self) -> Iterator[Complaint]:
        """A complaint about each file of secrets that somebody cannot read who should, or can read who should not. No
        host stops for one."""
        return audit(self.secrets, self.recipients, self.lock.secrets)

    def idle(self) -> dict[str, str]:
        """The deploys of plays whose pattern matches no host: by name, a sentence about the play and its pattern."""
        return {
            mention.name: f"{play.position} is for hosts: {play.hosts}, which matches no host of the inventory"
            for play, hosts in self._plays
            if not hosts
            for mention in play.mentions
        }

    def each(
        self, complaints: Complaints, hosts: Iterable[str] | None = None
    ) -> Iterator[tuple[str, ConcreteDeploys | None]]:
        """Each host, or each of ``hosts``, with the result of ``concrete``; None where that fails or a file about the
        host could not be read. Errors go to ``complaints``."""
        for host in self.inventory.hosts if hosts is None else hosts:
            own = Complaints(host)
            found = self._concretes(own) if self.inventory.knows(host) else None
            yield host, None if own or own.unseen else found
            complaints.include(own)

    def addresses(self) -> frozenset[Address]:
        """The other repositories that the plays name, with the path of the deploy file where there is one. Raises
        InventoryError with every complaint about the plays."""
        complaints = Complaints()
        mentions = (mention for play in self.plays for mention in play.mentions)
        found = {
            Address(mention.repository.url, mention.repository.ref, mention.source or "")
            for mention in mentions
            if mention.repository is not None
        }
        for host in self.inventory.hosts:
            own = Complaints(host)
            specs = (deploy.spec for deploy in self._deploys(own))
            found.update(Address(asked.url, asked.ref) for spec in specs if spec for asked in spec.repositories)
            complaints.include(own)
        complaints.raise_if_any()
        return frozenset(found)

    def sources(self, host: str) -> HostSources:
        """The files and values that a spec of ``host`` may use. Raises InventoryError (``host-unknown``)."""
        return HostSources(self.tree, self.values(host), self.pins, self.name, self.others)

    def values(self, host: str) -> HostValues:
        """The host's variables as templates see them. Raises InventoryError (``host-unknown``)."""
        if host not in self._values:
            magic = {
                "inventory_hostname": host,
                "inventory_hostname_short": host.partition(".")[0],
                "inventory_dir": f"{INVENTORIES}/{self.name}",
                "playbook_dir": ".",
                "group_names": list(self.inventory.group_names(host)),
                "groups": self._groups,
                "hostvars": self._hostvars,
            }
            functions = {
                "secret": self.secrets.function(host),
                "sops": self.secrets.sops_function(),
                **self._lookups,
                **provider_calls.functions(self.fleet.providers, complete=self.fleet_read),
            }
            # As in Ansible, no variable takes the place of a magic name
            own = {name: node for name, node in self.inventory.variables(host).items() if name not in magic}
            self._values[host] = HostValues(own, magic, self._renderer, functions)
        return self._values[host]

    def _deploys(self, complaints: Complaints) -> tuple[HostDeploy, ...]:
        """The deploys of the host that ``complaints`` is about. Mistakes go to ``complaints``."""
        host = complaints.host
        try:
            values = self.values(host)
        except ComplaintsError as error:
            complaints.take(error)
            return ()
        plays = [play for play, hosts in self._plays if host in hosts]
        broken = {name for play in plays for name in play.broken}
        merge = PlayMerge(self.inventory.lineage(host), values, complaints, broken)
        return merge.deploys(mention for play in plays for mention in play.mentions)

    def _concretes(self, complaints: Complaints) -> ConcreteDeploys:
        found = tuple((deploy, self._concrete(deploy, complaints)) for deploy in self._deploys(complaints))
        placed = {deploy.name: deploy for deploy, _ in found}
        known = [(deploy.name, concrete) for deploy, concrete in found if concrete is not None]
        for conflict in conflicts((name, (*concrete.resources, *concrete.claims)) for name, concrete in known):
            where = placed[conflict.deploy].place_of_resource(conflict.resource)
            complaints.add(*where, conflict.problem, conflict.remedy)
        for name, key, fault in contradictions(known):
            complaints.add(*placed[name].place_of_resource(key), fault.problem, fault.remedy)
        for name, fault in unmet_needs(known):
            complaints.add(*placed[name].place(()), fault.problem, fault.remedy)
        return found

    def _concrete(self, deploy: HostDeploy, complaints: Complaints) -> Concrete | None:
        problems: list[TemplateProblem] = []
        try:
            if deploy.repository is not None:
                address = Address(deploy.repository.url, deploy.repository.ref, deploy.source or "")
                self.others.require_runnable(address, self.pins.repository(address))
            if deploy.spec is None:
                self._require_readable(deploy, deploy.data, complaints)
                return None
            concrete = deploy.spec.concrete(replace(self.sources(complaints.host), problems=problems))
            if problems:
                return None
            self._require_readable(deploy, concrete.arguments, complaints)
            self._require_in_place(deploy, concrete, complaints)
            return concrete
        except ComplaintsError as error:
            complaints.take(error)
        except (SourceError, TrustError) as error:
            complaints.unseen[error.message] = error
        except InventoryError as error:
            if error.kind is ProblemKind.NOT_LOCKED and not self.pinned:
                return None
            if error.kind is ProblemKind.NOT_FETCHED:
                complaints.unseen[error.message] = error
                return None
            faults = error.faults if isinstance(error, Mistake) else (Fault(error.message, error.hint),)
            for fault in faults:
                complaints.add(*deploy.place(fault.path), fault.problem, fault.remedy)
        finally:
            for problem in problems:
                complaints.add(problem.position, (), problem.problem, problem.remedy)
        return None

    def _require_readable(self, deploy: HostDeploy, value: Mapping[str, JSON], complaints: Complaints) -> None:
        """Complain of secrets in ``value`` that the host may not read. They can only come from ``hostvars``."""
        if self._hostvars.asked:
            with complaints.of(*deploy.place(())):
                self.secrets.require_readable(canonical(value).decode(), complaints.host)

    def _require_in_place(self, deploy: HostDeploy, concrete: Concrete, complaints: Complaints) -> None:
        """Complain of a secret in a place that others than the host's root may read."""
        keys = [resource.key for resource in (*concrete.resources, *concrete.claims)]
        exposed = None if deploy.spec is None else deploy.spec.exposed(concrete.arguments)
        at = sealed_at(exposed)
        if any(map(is_sealed, keys)) or at is not None:
            remedy = (deploy.spec or Spec).if_sealed
            written = None if deploy.spec is None else deploy.spec.exposed(deploy.spec.model_dump(mode="json"))
            path = sealed_at(written) or at or ()  # a template's text is in no play
            complaints.add(*deploy.place(path), f"a secret cannot stand in {deploy.kind} here", remedy)
