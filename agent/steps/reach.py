"""reach: turns what Git changed into what that sets off, and into the deploys by whose checks it is judged. Pure.

A file sets off the units that read it, whichever deploy manages them. A change is judged by the checks of these
deploys:

- its own, and those that it sets off;
- those whose files such a unit reads: only that unit puts them into force;
- those whose checks look at the unit or at the file;
- those that need one of all these.

``MadeChanges`` keeps what a cycle has changed so far, and ``reach`` names the deploys. ``stirred_later`` finds units
that were changed too early, ``reloads_and_restarts`` those to reload or restart after a removal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from agent.deploys.kind import paths_of
from agent.domain.check import Check
from agent.domain.desired import DesiredDeploy, DesiredState, Mode, Resource
from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Change, Plan, WantedChange


@dataclass(slots=True)
class MadeChanges:
    """The changes of Git that have been made by now, and what they set off."""

    _changes: dict[str, str] = field(default_factory=dict)
    """By key of the resource, its deploy."""
    _paths: dict[str, str] = field(default_factory=dict)
    _units: dict[str, str] = field(default_factory=dict)
    _foreseen: frozenset[tuple[str, str]] = frozenset()
    _deploys: dict[str, None] = field(default_factory=dict)
    """The deploys that made some of them in this cycle."""

    def foresee(self, plan: Plan) -> None:
        """Note the changes that are wanted before any is made. A change that is wanted later, and is not among them,
        came about since."""
        self._foreseen = frozenset((change.deploy, change.resource) for change in plan.changes)

    def add_present(self, deploy: DesiredDeploy, wanted: Iterable[WantedChange], before: AppliedDeploy | None) -> None:
        """Add the changes of Git that are on the host already: the resources of ``deploy`` whose digest differs from
        ``before``, and of which no change is ``wanted``. This attempt made them, or an earlier one that was cut
        off."""
        pending = {change.resource for change in wanted}
        moved = (
            resource.key
            for resource in deploy.resources
            if before is None or before.resources.get(resource.key, before.digest) != resource.digest
        )
        self.add(deploy, (key for key in moved if key not in pending))

    def add_applied(self, deploy: DesiredDeploy, keys: Collection[str]) -> None:
        """Add what ``deploy`` has just changed because Git did."""
        if keys:
            self._deploys[deploy.name] = None
            self.add(deploy, keys)

    def add(self, deploy: DesiredDeploy, keys: Iterable[str]) -> None:
        """Add changes of Git that have been made, by the keys of their resources."""
        reloads = {resource.key: resource.reloads for resource in deploy.resources}
        for key in keys:
            self._changes.setdefault(key, deploy.name)
            for path in paths_of(key):
                self._paths.setdefault(path, key)
            self._units.update(dict.fromkeys((f"unit:{unit}" for unit in reloads.get(key, ())), key))

    def contains(self, key: str) -> bool:
        """True if the resource ``key`` is among the changes."""
        return key in self._changes

    def sets_off(self, resource: Resource) -> str:
        """The change that sets ``resource`` off, in words; empty if none is known to."""
        found = self._units.get(resource.key, "")
        if not found and resource.reads:
            found = next((key for path, key in self._paths.items() if _covers(resource.reads, path)), "")
        return f"set off by {found} of deploy {self._changes[found]}" if found not in ("", resource.key) else ""

    def may_set_off(self, deploy: DesiredDeploy, key: str) -> str:
        """The deploys that may have set off a change that nobody wanted before, in words. Empty for a change that was
        foreseen, and if no deploy has made a change of Git."""
        if not self._deploys or (deploy.name, key) in self._foreseen:
            return ""
        needed = [name for name in deploy.needs if name in self._deploys]
        return f"set off by what changed in {', '.join(needed or self._deploys)}"


def reach(state: DesiredState, changes: Iterable[Change], deploys: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of the deploys by whose checks these changes of Git are judged, in order. ``deploys``: more that
    change, while nobody knows yet what."""
    made, names = MadeChanges(), set(deploys)
    for change in changes:
        names.add(change.deploy)
        made.add(state.deploy(change.deploy), change.wanted.owns or (change.resource,))
    every = [(deploy.name, resource) for deploy in state.deploys for resource in deploy.resources]
    readers = [(name, resource) for name, resource in every if resource.reads]
    stirred = [(name, resource) for name, resource in readers if made.contains(resource.key) or made.sets_off(resource)]
    names.update(name for name, _ in stirred)
    reads = [path for _, resource in stirred for path in resource.reads]
    if reads:
        names.update(name for name, resource in every if any(_covers(reads, path) for path in paths_of(resource.key)))
    units = {resource.key for _, resource in stirred}
    names.update(deploy.name for deploy in state.deploys if any(_asks(check, units, made) for check in deploy.health))
    while more := {deploy.name for deploy in state.deploys if names.intersection(deploy.needs)} - names:
        names |= more
    return tuple(deploy.name for deploy in state.deploys if deploy.name in names)


def stirred_later(state: DesiredState, done: Sequence[tuple[str, str, Collection[str]]]) -> frozenset[tuple[str, str]]:
    """The resources, by deploy and key, that read something which this cycle changed, for whatever cause, after it
    changed them. A unit that was started a moment before its file was written has not read that file.

    ``done``: each change in the order in which it was made: its deploy, its resource, and what that owns.
    """
    last = {(deploy, resource): number for number, (deploy, resource, _) in enumerate(done)}
    paths = [(number, path) for number, (_, _, keys) in enumerate(done) for key in keys for path in paths_of(key)]
    told = {
        (f"unit:{unit}", number)
        for deploy in state.deploys
        for each in deploy.resources
        for unit in each.reloads
        for number, (_, _, keys) in enumerate(done)
        if each.key in keys
    }
    found = set()
    for deploy in state.deploys:
        for each in deploy.resources:
            own = last.get((deploy.name, each.key), -1)
            behind = (number > own and _covers(each.reads, path) for number, path in paths)
            if (each.reads and any(behind)) or any(unit == each.key and number > own for unit, number in told):
                found.add((deploy.name, each.key))
    return frozenset(found)


def reloads_and_restarts(state: DesiredState, keys: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of the resources to reload, and of those to restart, when the resources with these ``keys`` go. Only
    deploys that may change the host count."""
    paths = [path for key in keys for path in paths_of(key)]
    deploys = (deploy for deploy in state.deploys if deploy.mode is Mode.ENFORCE)
    readers = [resource for deploy in deploys for resource in deploy.resources if resource.reads]

    def covering(places: Callable[[Resource], Iterable[str]]) -> frozenset[str]:
        return frozenset(each.key for each in readers if any(_covers(places(each), path) for path in paths))

    restarts = covering(lambda each: each.restart_on)
    return covering(lambda each: each.reload_on) - restarts, restarts


def _asks(check: Check, units: Collection[str], made: MadeChanges) -> bool:
    """True if ``check`` looks at one of these units, or at a resource that was changed."""
    asked = check.resource
    return asked in units or f"{asked}.service" in units or made.contains(asked)


def _covers(places: Iterable[str], path: str) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in places)
