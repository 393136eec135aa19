"""A trusted commit as it is read for one host, in plain values. It is read once; ``host.resolved`` remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredState
from agent.domain.memory import FleetSettings, Suspension
from agent.domain.pins import AgentPin, RepositoryPin
from agent.errors import InventoryError
from agent.problems import ProblemKind


@dataclass(frozen=True, slots=True)
class HostTerms:
    """The terms of a host: all that the inventory says of it besides its desired state.

    ``suspensions``: those in fleet.yaml that name the host. ``idle``: by deploy, the play that has it and matches no
    host, in words. ``left_out``: the parts of the commit and of other repositories that the host does not get, in
    words. ``repositories``: the pins whose files were read. ``kept``: the tree digests of all pins in lock.yaml, whose
    files ``remember`` keeps.
    ``groups``: the groups of the host."""

    fleet: FleetSettings = field(default_factory=FleetSettings)
    agent: AgentPin | None = None
    agent_unlocked: str = ""
    """The reason why lock.yaml has no version of the agent although fleet.yaml asks for one; empty otherwise."""
    suspensions: tuple[Suspension, ...] = ()
    idle: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    repositories: tuple[RepositoryPin, ...] = ()
    kept: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def agent_pin(self) -> AgentPin | None:
        """The version of the agent that the host is to run; None: the one that it has. Raises InventoryError, kind
        ``not-locked``, where lock.yaml lacks the version. Waves, once in force, belong here too: a host whose turn has
        not come keeps the version that it has."""
        if self.agent_unlocked:
            raise InventoryError(
                self.agent_unlocked,
                kind=ProblemKind.NOT_LOCKED,
                hint="run `hostwright lock` in the config repo; until then this host stays on its version",
            )
        return self.agent


@dataclass(frozen=True, slots=True)
class Resolution:
    """A trusted commit, and what it says of this host. Values of secrets are sealed in it."""

    commit: TrustedCommit
    state: DesiredState
    terms: HostTerms = field(default_factory=HostTerms)
