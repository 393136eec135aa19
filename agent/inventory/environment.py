"""One inventory as a whole: turns the files of a config repo into what each host should be.

hosts.yaml, group_vars, host_vars ─Inventory→ ┐
site.yaml ─plays→ ─────────────────────────── ┼→ placing ─PlacedDeploy→
fleet.yaml ─Fleet→                            ┘
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.deploys.spec import Concrete
from agent.domain.pins import Pins, RepositoryPin
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.inventory.complaint import Complaints, ComplaintsError
from agent.inventory.fleet import FLEET_FILE, Fleet, read_fleet_file
from agent.inventory.inventory import Inventory, read_inventory
from agent.inventory.placing import PlacedDeploy, Placing
from agent.inventory.site import NOT_IN_FORCE, SITE_FILE, Play, read_site
from agent.inventory.source import Source, open_source
from agent.inventory.template import HostValues, Renderer, TemplateProblem
from agent.system.yaml import Node, Position, locate

__all__ = ["Environment", "HostSources", "PlacedDeploy", "load"]

_PLANNED_FILES = ("tools.yaml", "lock.yaml")
_POLICIES = "policies"


@dataclass(frozen=True, slots=True)
class HostSources:
    """``deploys.spec.Sources`` over the config repo's files and one host's values."""

    tree: Tree
    values: HostValues
    renderer: Renderer
    pins: Pins = field(default_factory=Pins)

    def repository(self, pin: RepositoryPin) -> Tree:
        raise InventoryError(f"{pin.url} has not been fetched", kind="not-fetched", hint="hostwright lock fetches it")

    def render(self, template: str, origin: str) -> str:
        return self.renderer.text(template, self.values, Position(origin))


class Environment:
    def __init__(self, tree: Tree, name: str, inventory: Inventory, plays: tuple[Play, ...], fleet: Fleet) -> None:
        self.name = name
        self.inventory = inventory
        self.fleet = fleet
        self._tree = tree
        self._plays = [(play, frozenset(inventory.match(play.hosts))) for play in plays]
        self._renderer = Renderer()
        self._values: dict[str, HostValues] = {}
        self._groups = {name: list(hosts) for name, hosts in inventory.groups.items()}
        self._hostvars = _HostVars(self)

    def deploys(self, host: str) -> tuple[PlacedDeploy, ...]:
        """The host's deploys: rendered, merged, in the order in which they run. Raises InventoryError with every
        complaint, of kind ``host-unknown`` for a name that is no host's full inventory name."""
        complaints = Complaints()
        deploys = self._deploys(host, complaints)
        complaints.raise_if_any()
        return deploys

    def concrete(self, host: str) -> tuple[tuple[PlacedDeploy, Concrete | None], ...]:
        """``deploys``, each built-in with everything looked up and rendered; None beside a deploy file of the config
        repo. Raises InventoryError with every complaint."""
        complaints = Complaints()
        found = tuple((deploy, self._concrete(host, deploy, complaints)) for deploy in self._deploys(host, complaints))
        complaints.raise_if_any()
        return found

    def check(self) -> None:
        """Everything that can be known of all hosts without touching one. Raises InventoryError with all complaints."""
        complaints = Complaints()
        sources: dict[str, Position] = {}
        for host in self.inventory.hosts:
            for deploy in self._deploys(host, complaints):
                if deploy.source is not None:
                    sources.setdefault(deploy.source, deploy.position)
                self._concrete(host, deploy, complaints)
        for source, position in sources.items():
            self._check_syntax(source, position, complaints)
        complaints.raise_if_any()

    def sources(self, host: str) -> HostSources:
        """What a spec of ``host`` may look at while it becomes concrete. Raises InventoryError (``host-unknown``)."""
        return HostSources(self._tree, self.values(host), self._renderer)

    def values(self, host: str) -> HostValues:
        """The host's variables as templates see them. Raises InventoryError (``host-unknown``)."""
        if host not in self._values:
            magic = {
                "inventory_hostname": host,
                "group_names": list(self.inventory.group_names(host)),
                "groups": self._groups,
                "hostvars": self._hostvars,
            }
            self._values[host] = HostValues(self.inventory.variables(host), magic, self._renderer)
        return self._values[host]

    def _deploys(self, host: str, complaints: Complaints) -> tuple[PlacedDeploy, ...]:
        placing = Placing(host, self.values(host), self.inventory.variables(host), self._renderer, complaints)
        return placing.deploys(mention for play, hosts in self._plays if host in hosts for mention in play.mentions)

    def _concrete(self, host: str, deploy: PlacedDeploy, complaints: Complaints) -> Concrete | None:
        if deploy.spec is None:
            return None
        try:
            return deploy.spec.concrete(self.sources(host))
        except TemplateProblem as error:
            complaints.add(error.position, (), error.problem, error.remedy, host=host)
        except ComplaintsError as error:
            complaints.take(error)
        except InventoryError as error:
            for line in error.message.splitlines():
                complaints.add(deploy.position, (deploy.name,), line, error.hint, host=host)
        return None

    def _check_syntax(self, source: str, mentioned: Position, complaints: Complaints) -> None:
        try:
            compile(self._tree.read(source), source, "exec", dont_inherit=True)
        except SyntaxError as error:
            position = Position(source, error.lineno or 1, error.offset or 1)
            complaints.add(position, (), f"not Python: {error.msg}")
        except ValueError as error:
            complaints.add(mentioned, (), f"{source} is not Python: {error}")


class _HostVars(Mapping[str, HostValues]):
    """``hostvars`` in templates: every host's values, made when asked for."""

    __slots__ = ("_environment",)

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __getitem__(self, host: str) -> HostValues:
        try:
            return self._environment.values(host)
        except InventoryError:
            raise KeyError(host) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment.inventory.hosts)

    def __len__(self) -> int:
        return len(self._environment.inventory.hosts)


def load(tree: Tree, name: str) -> Environment:
    """The inventory ``name`` of a config repo. Raises InventoryError with every complaint about hosts, vars, site and
    fleet; of kind ``inventory-unknown`` when there is no such folder."""
    source = open_source(tree, name)
    complaints = Complaints()
    inventory = read_inventory(source, complaints)
    plays = read_site(source, inventory, complaints)
    fleet, root = read_fleet_file(source, complaints)
    _check_suspensions(fleet, root, inventory, complaints)
    _refuse_planned_files(source, complaints)
    complaints.raise_if_any()
    return Environment(tree, name, inventory, plays, fleet)


def _check_suspensions(fleet: Fleet, root: Node | None, inventory: Inventory, complaints: Complaints) -> None:
    """A suspension of hosts that do not exist would suspend nobody."""
    for index, entry in enumerate(fleet.suspend):
        path = ("suspend", index, "hosts")
        position = locate(root, path) if root is not None else Position(FLEET_FILE)
        try:
            inventory.match(entry.hosts)
        except InventoryError as error:
            complaints.add(position, path, error.message, error.hint)
            continue
        for name in inventory.unknown_names(entry.hosts):
            complaints.add(position, path, f'no group or host is called "{name}"', inventory.nearest(name))


def _refuse_planned_files(source: Source, complaints: Complaints) -> None:
    """Files that a later version reads, and files that nobody reads because of their extension."""
    for path in source.entries:
        if path in _PLANNED_FILES or path.startswith("secrets/"):
            complaints.add(source.position(path), (), NOT_IN_FORCE)
        elif path in (SITE_FILE.replace(".yaml", ".yml"), FLEET_FILE.replace(".yaml", ".yml")):
            complaints.add(source.position(path), (), "this file is not read", f"call it {path[:-4]}.yaml")
    for entry in source.tree.entries(_POLICIES):
        if entry.path.endswith(".rego"):
            complaints.add(Position(entry.path), (), NOT_IN_FORCE)
