"""The desired state of a host: its ordered deploys with every value filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.check import Check
from agent.domain.digest import JSON
from agent.domain.pins import RepositoryPin

DEPLOY_KIND = "deploy"
"""The kind of a deploy file."""


class Mode(StrEnum):
    ENFORCE = "enforce"
    OBSERVE = "observe"
    """Report what would change and touch nothing."""


class Looking(StrEnum):
    """The rights of a plan of a deploy."""

    CONFINED = "confined"
    """Read everything, change nothing."""
    PRIVILEGED = "privileged"
    """Whatever applying it may do."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One owned thing. ``key`` names it (``file:/etc/motd``, ``package:nginx``); ``digest`` is what it should be.
    ``reloads``: units that read it, to be told when it goes. ``absent``: it should not be.
    ``reads``: paths of files and folders that it reads; of those, it is restarted or reloaded when something goes that
    ``restart_on`` and ``reload_on`` name."""

    key: str
    digest: str
    reloads: tuple[str, ...] = ()
    absent: bool = False
    reads: tuple[str, ...] = ()
    restart_on: tuple[str, ...] = ()
    reload_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OnRemove:
    """The deploy file of ``commit`` to be run when a deploy has left Git, and what it finds in ``host.data``."""

    source: str
    data: Mapping[str, JSON]
    commit: str


@dataclass(frozen=True, slots=True)
class DesiredDeploy:
    """One deploy of one host.

    ``kind`` names a built-in (``files``) or is ``deploy``: then ``source`` is the path of a pyinfra deploy file in
    the commit, or in another ``repository``. ``arguments`` are what the built-in's operations take, concrete: nothing
    left to render or look up but files of the commit by path. ``data`` is what a deploy file finds in ``host.data``.
    """

    name: str
    kind: str
    arguments: Mapping[str, JSON]
    digest: str
    resources: tuple[Resource, ...] = ()
    source: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    mode: Mode = Mode.ENFORCE
    repository: RepositoryPin | None = None
    on_remove: OnRemove | None = None
    health: tuple[Check, ...] = ()
    looking: Looking = Looking.CONFINED
    secrets: tuple[str, ...] = ()
    """The secrets that stand in it, as templates ask for them. Their values are put in on the way to the engine."""

    @property
    def built_in(self) -> bool:
        return self.source is None


@dataclass(frozen=True, slots=True)
class DesiredState:
    """One host's deploys in the order in which they run, from one commit."""

    host: str
    commit: str
    deploys: tuple[DesiredDeploy, ...]
    digest: str

    @property
    def enforced(self) -> frozenset[str]:
        """The names of the deploys that may change the host."""
        return frozenset(deploy.name for deploy in self.deploys if deploy.mode is Mode.ENFORCE)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The health checks by which the host is judged."""
        return tuple(check for deploy in self.deploys if deploy.mode is Mode.ENFORCE for check in deploy.health)

    def deploy(self, name: str) -> DesiredDeploy:
        return next(deploy for deploy in self.deploys if deploy.name == name)
