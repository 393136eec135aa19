"""The deploys of one host from all plays: rendered, merged, in order.

A deploy is known by its name. A later play's deploy file replaces the earlier one; a later play's built-in is merged
into it. The first mention decides the place in the order; ``needs`` moves a deploy behind the deploys that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.deploys.spec import Spec
from agent.domain.address import Address
from agent.domain.check import Check
from agent.domain.desired import Looking, Mode
from agent.domain.digest import JSON
from agent.domain.fault import KeyPath
from agent.domain.sealed import contains_sealed
from agent.errors import InventoryError
from agent.inventory import validation
from agent.inventory.arguments import read_checks, read_spec
from agent.inventory.complaint import Complained, Complaints, nearest
from agent.inventory.site import Mention
from agent.inventory.template.render import HostValues, TemplateProblem
from agent.system.document import Node, Position, Value, key_text, locate, path_at


@dataclass(frozen=True, slots=True)
class HostDeploy:
    """One deploy of one host with every value filled in.

    A built-in has a ``spec``; a deploy file has a ``source`` (its path in the config repo, or in ``repository``) and
    the ``data`` that it finds in ``host.data``. ``position`` is where it is first mentioned.
    """

    name: str
    kind: str
    spec: Spec | None
    source: str | None
    data: Mapping[str, JSON]
    needs: tuple[str, ...]
    mode: Mode
    position: Position
    repository: Address | None = None
    on_remove: str | None = None
    """A deploy file of the config repo to run when the deploy has left Git. It gets ``data``, for a built-in too."""
    health: tuple[Check, ...] = ()
    looking: Looking = Looking.CONFINED
    mentions: tuple[Mention, ...] = ()
    """The mentions that the deploy was merged from, without those that a later one replaced."""

    def place(self, path: KeyPath) -> tuple[Position, KeyPath]:
        """Position and key path in site.yaml of the value at ``path`` of the spec, in the last play that sets it. Where
        none does: of the nearest value above it, else of the kind or deploy file in the last play."""
        place, depth = self.mentions[-1].place, 1
        for mention in self.mentions:
            found = validation.real(path, mention.arguments)
            if len(found) >= depth:
                place, depth = (locate(mention.arguments, found), (*mention.path, *found)), len(found)
        return place

    def place_of_need(self, name: str) -> tuple[Position, KeyPath]:
        """Position and key path of the ``needs`` that names ``name``."""
        mention = next((mention for mention in reversed(self.mentions) if name in mention.needs), self.mentions[-1])
        return mention.needs_at or mention.position, (*mention.path[:-1], "needs")

    def place_of_resource(self, key: str) -> tuple[Position, KeyPath]:
        """Position and key path of the value in site.yaml that names the resource ``key``; those of the kind or deploy
        file where there is none."""
        name = key.partition(":")[2].partition("#")[0]
        for mention in reversed(self.mentions):
            if (path := validation.find(mention.arguments, name)) is not None:
                return locate(mention.arguments, path), (*mention.path, *path)
        return self.mentions[-1].place


@dataclass(slots=True)
class PlayMerge:
    """The merge of all plays of the host that ``complaints`` is about."""

    lineage: tuple[str, ...]
    """The groups of the host, each behind those whose variables it may override."""
    values: HostValues
    complaints: Complaints
    _broken: set[str]
    """Names of deploys with complaints. A deploy that needs one of them gets no complaint for that."""
    _placed: dict[str, HostDeploy] = field(default_factory=dict)
    _data: dict[str, JSON] | None = None

    def deploys(self, mentions: Iterable[Mention]) -> tuple[HostDeploy, ...]:
        for mention in mentions:
            try:
                self._place(mention)
            except Complained:
                self._broken.add(mention.name)
        return self._ordered()

    def _place(self, mention: Mention) -> None:
        deploy = self._filled_in(mention)
        earlier = self._placed.get(mention.name)
        if earlier is None:
            self._placed[mention.name] = deploy
        elif earlier.kind != deploy.kind and not mention.replaces:
            problem = f'"{mention.name}" is already the name of another deploy (line {earlier.position.line})'
            remedy = "give one of them another name, or write `merge: replace`"
            self.complaints.add(mention.position, mention.path, problem, remedy)
        elif mention.replaces or earlier.spec is None or deploy.spec is None:
            self._placed[mention.name] = replace(deploy, position=earlier.position)
        else:
            self._placed[mention.name] = replace(
                earlier,
                spec=self._merged(earlier.spec, deploy.spec, mention),
                needs=tuple(dict.fromkeys((*earlier.needs, *deploy.needs))),
                mode=deploy.mode if mention.mode else earlier.mode,
                looking=deploy.looking if mention.looking else earlier.looking,
                data=deploy.data or earlier.data,
                on_remove=deploy.on_remove or earlier.on_remove,
                health=tuple(dict.fromkeys((*earlier.health, *deploy.health))),
                mentions=(*earlier.mentions, mention),
            )

    def _filled_in(self, mention: Mention) -> HostDeploy:
        arguments, spec = None, mention.spec
        if spec is None:
            arguments = self._rendered(mention.arguments, mention.path)
            if mention.source is None:
                spec, arguments = read_spec(mention, arguments, self.complaints), None
        checks = mention.checks
        if checks is None:
            path = (*mention.path[:-1], "health")
            health = self._rendered(mention.health, path)
            if contains_sealed(health):
                remedy = "ask for something that takes no password: checks and their answers are reported"
                self.complaints.refuse(mention.health.position, path, "a secret cannot stand in a check", remedy)
            checks = read_checks(mention, health, self.complaints)
        return HostDeploy(
            name=mention.name,
            kind=mention.kind,
            spec=spec,
            source=mention.source,
            data=self._with(mention, arguments) if mention.source or mention.on_remove else {},
            needs=mention.needs,
            mode=mention.mode or Mode.ENFORCE,
            looking=mention.looking or Looking.CONFINED,
            position=mention.position,
            repository=mention.repository,
            on_remove=mention.on_remove,
            health=checks,
            mentions=(mention,),
        )

    def _rendered(self, node: Node, path: KeyPath) -> Value:
        problems: list[TemplateProblem] = []
        value = self.values.rendered(node, problems)
        for problem in problems:
            place = self._path_at(problem.position, node, path)
            self.complaints.add(problem.position, place, problem.problem, problem.remedy)
        if problems:
            raise Complained
        return value

    def _path_at(self, position: Position, node: Node, path: KeyPath) -> KeyPath:
        """The key path of the template at ``position``: in ``node``, to which ``path`` leads, or in the variable that
        it is of. ``path`` where it is in neither, such as in a variable of another host."""
        variables = (((name,), variable) for name, variable in self.values.nodes.items())
        for root, inside in ((path, node), *variables):
            if (below := path_at(inside, position)) is not None:
                return (*root, *below)
        return path

    def _merged(self, earlier: Spec, later: Spec, mention: Mention) -> Spec:
        try:
            return earlier.merged(later)
        except (InventoryError, ValueError) as error:
            problem = f"cannot be merged with what an earlier play says: {error}"
            remedy = "correct one of the two, or write `merge: replace`"
            self.complaints.refuse(mention.position, mention.path, problem, remedy)

    def _with(self, mention: Mention, arguments: Value) -> Mapping[str, JSON]:
        """The data of a deploy file: host name, groups, rendered variables, and ``with`` laid over them."""
        if self._data is None:
            self._data = {}
            for name, node in self.values.nodes.items():
                try:
                    self._data[name] = self._json(self.values.settled(name), node, (name,))
                except TemplateProblem as error:
                    place = self._path_at(error.position, node, (name,))
                    self.complaints.add(error.position, place, error.problem, error.remedy)
        own = self._json({} if arguments is None else arguments, mention.arguments, mention.path)
        if not isinstance(own, Mapping):
            said = ("a mapping is expected here", "write `name: value` lines")
            self.complaints.refuse(mention.arguments.position, mention.path, *said)
        return {"inventory_hostname": self.complaints.host, "group_names": [*self.lineage], **self._data, **own}

    def _json(self, value: object, node: Node, root: KeyPath, below: KeyPath = ()) -> JSON:
        """``value``, which is at ``below`` of ``node``, to which ``root`` leads, as JSON for a deploy file. A number
        with a fraction is a complaint: digests must be exact."""
        if isinstance(value, dict):
            named = {key: key_text(key) for key in value}
            return {name: self._json(value[key], node, root, (*below, name)) for key, name in named.items()}
        if isinstance(value, list):
            return [self._json(item, node, root, (*below, index)) for index, item in enumerate(value)]
        if isinstance(value, float):
            problem = f"{value} is a number with a fraction"
            self.complaints.add(locate(node, below), (*root, *below), problem, "put it in quotes")
            return None
        return str(value) if isinstance(value, str) else value  # type: ignore[return-value]

    def _ordered(self) -> tuple[HostDeploy, ...]:
        """The deploys in order of first mention, each after those that it needs (Kahn's algorithm, always the first
        that is ready)."""
        waiting = list(self._placed.values())
        for deploy in waiting:
            for name in deploy.needs:
                if name not in self._placed and name not in self._broken:
                    remedy = nearest(name, self._placed, otherwise="name a deploy that the same hosts have")
                    problem = f'"{deploy.name}" needs "{name}", which this host does not have'
                    self.complaints.add(*deploy.place_of_need(name), problem, remedy)
        ordered: dict[str, HostDeploy] = {}
        while waiting:
            ready = next((d for d in waiting if all(n in ordered or n not in self._placed for n in d.needs)), None)
            if ready is None:
                names = ", ".join(deploy.name for deploy in waiting)
                place = waiting[0].place_of_need(waiting[0].needs[0])
                self.complaints.add(*place, f"these deploys need each other: {names}", "take one of these needs out")
                break
            ordered[ready.name] = ready
            waiting.remove(ready)
        return tuple(ordered.values())
