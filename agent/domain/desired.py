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
    """The rights that a deploy has while it is planned."""

    CONFINED = "confined"
    """Read everything, change nothing."""
    PRIVILEGED = "privileged"
    """The rights that it has while it is applied."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing on a host that a deploy looks after.

    ``key``: its kind and name (``file:/etc/motd``, ``package:nginx``). ``digest``: the digest of what it should be.
    ``absent``: True if it should not be there. ``reloads``: units that read it, and are reloaded when it is removed.
    ``reads``: the paths of files and folders that it reads itself, such as a service does. When one that ``restart_on``
    or ``reload_on`` names is removed, it is restarted or reloaded."""

    key: str
    digest: str
    reloads: tuple[str, ...] = ()
    absent: bool = False
    reads: tuple[str, ...] = ()
    restart_on: tuple[str, ...] = ()
    reload_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OnRemove:
    """The deploy file ``source`` of ``commit``, to be run when a deploy has left Git; it finds ``data`` in
    ``host.data``."""

    source: str
    data: Mapping[str, JSON]
    commit: str


@dataclass(frozen=True, slots=True)
class DesiredDeploy:
    """One deploy of one host.

    ``kind`` names a built-in (``files``) or is ``deploy``: then ``source`` is the path of a pyinfra deploy file in
    the commit, or in another ``repository``. ``arguments``: those of the built-in's operations, rendered; files of the
    commit stand in them by path. ``data``: what a deploy file finds in ``host.data``.
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
    """The secrets that the deploy needs, as templates ask for them: ``secret('web/admin')``. Their values are put in on
    the way to the engine."""

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
        """The health checks by which the host is judged: those of the enforced deploys."""
        return tuple(check for deploy in self.deploys if deploy.mode is Mode.ENFORCE for check in deploy.health)

    def deploy(self, name: str) -> DesiredDeploy:
        return next(deploy for deploy in self.deploys if deploy.name == name)
