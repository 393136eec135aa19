"""reach: turns what Git changed into what that sets off, and into the deploys by whose checks it is judged. Pure.

A file sets off the units that read it, wherever they are managed. A change is judged by the checks of its own deploy,
of the deploys that it sets off, of those whose files such a unit reads (they are in force by that unit alone), of those
that ask for the unit or the file, and of those that need one of all these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from agent.deploys.kind_table import paths_of
from agent.domain.check import Check
from agent.domain.desired import DesiredDeploy, DesiredState, Mode, Resource
from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Change, Plan, WantedChange


@dataclass(slots=True)
class Made:
    """The changes of Git that are made by now, and what they set off."""

    _changes: dict[str, str] = field(default_factory=dict)
    """By key of the resource, its deploy."""
    _paths: dict[str, str] = field(default_factory=dict)
    _units: dict[str, str] = field(default_factory=dict)
    _foreseen: frozenset[tuple[str, str]] = frozenset()
    _ran: dict[str, None] = field(default_factory=dict)
    """The deploys that made some of them in this cycle."""

    def foresee(self, plan: Plan) -> None:
        """What is wanted before anything is made: whatever is wanted later, and is not among that, came about since."""
        self._foreseen = frozenset((change.deploy, change.resource) for change in plan.changes)

    def there(self, deploy: DesiredDeploy, wanted: Iterable[WantedChange], before: AppliedDeploy | None) -> None:
        """Of ``deploy``, what Git moved since it was as ``before`` and is no longer ``wanted``: an attempt that was cut
        off has made it so, or this one has."""
        pending = {change.resource for change in wanted}
        moved = (
            resource.key
            for resource in deploy.resources
            if before is None or before.resources.get(resource.key, before.digest) != resource.digest
        )
        self.add(deploy, (key for key in moved if key not in pending))

    def ran(self, deploy: DesiredDeploy, keys: Collection[str]) -> None:
        """``deploy`` has just changed what Git changed."""
        if keys:
            self._ran[deploy.name] = None
            self.add(deploy, keys)

    def add(self, deploy: DesiredDeploy, keys: Iterable[str]) -> None:
        """Changes of Git that are made."""
        reloads = {resource.key: resource.reloads for resource in deploy.resources}
        for key in keys:
            self._changes.setdefault(key, deploy.name)
            for path in paths_of(key):
                self._paths.setdefault(path, key)
            self._units.update(dict.fromkeys((f"unit:{unit}" for unit in reloads.get(key, ())), key))

    def holds(self, key: str) -> bool:
        return key in self._changes

    def sets_off(self, resource: Resource) -> str:
        """Which of the changes sets ``resource`` off, in words; empty where none is known to."""
        found = self._units.get(resource.key, "")
        if not found and resource.reads:
            found = next((key for path, key in self._paths.items() if _covers(resource.reads, path)), "")
        return f"set off by {found} of deploy {self._changes[found]}" if found not in ("", resource.key) else ""

    def came_about(self, deploy: DesiredDeploy, key: str) -> str:
        """What set a change off that nobody wanted before deploys made changes of Git, in words; empty for others."""
        if not self._ran or (deploy.name, key) in self._foreseen:
            return ""
        needed = [name for name in deploy.needs if name in self._ran]
        return f"set off by what changed in {', '.join(needed or self._ran)}"


def reach(state: DesiredState, changes: Iterable[Change], deploys: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of the deploys by whose checks these changes of Git are judged, in order. ``deploys``: those of which
    nobody knows yet what changes."""
    made, names = Made(), set(deploys)
    for change in changes:
        names.add(change.deploy)
        made.add(state.deploy(change.deploy), change.wanted.owns or (change.resource,))
    every = [(deploy.name, resource) for deploy in state.deploys for resource in deploy.resources]
    readers = [(name, resource) for name, resource in every if resource.reads]
    stirred = [(name, resource) for name, resource in readers if made.holds(resource.key) or made.sets_off(resource)]
    names.update(name for name, _ in stirred)
    reads = [path for _, resource in stirred for path in resource.reads]
    if reads:
        names.update(name for name, resource in every if any(_covers(reads, path) for path in paths_of(resource.key)))
    units = {resource.key for _, resource in stirred}
    names.update(deploy.name for deploy in state.deploys if any(_asks(check, units, made) for check in deploy.health))
    while more := {deploy.name for deploy in state.deploys if names.intersection(deploy.needs)} - names:
        names |= more
    return tuple(deploy.name for deploy in state.deploys if deploy.name in names)


def told_of(state: DesiredState, keys: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Keys of the resources that ask to be reloaded and to be restarted when these ``keys`` go; only of deploys that
    may change the host."""
    paths = [path for key in keys for path in paths_of(key)]
    deploys = (deploy for deploy in state.deploys if deploy.mode is Mode.ENFORCE)
    readers = [resource for deploy in deploys for resource in deploy.resources if resource.reads]

    def covering(places: Callable[[Resource], Iterable[str]]) -> frozenset[str]:
        return frozenset(each.key for each in readers if any(_covers(places(each), path) for path in paths))

    restarts = covering(lambda each: each.restart_on)
    return covering(lambda each: each.reload_on) - restarts, restarts


def _asks(check: Check, units: Collection[str], made: Made) -> bool:
    """Whether ``check`` looks at one of these units, or at a file that was changed."""
    asked = check.resource
    return asked in units or f"{asked}.service" in units or made.holds(asked)


def _covers(places: Iterable[str], path: str) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in places)
