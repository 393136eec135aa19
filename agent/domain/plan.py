"""Plans: the changes that would be made on a host now, and what holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.text import waiting


class Cause(StrEnum):
    """The reason for a change."""

    INTENDED = "intended"
    """Git moved: the resource's digest is new or differs from the one last applied, or a change of such a resource
    set it off."""
    DRIFT = "drift"
    """The host moved: the resource's digest is the one last applied."""
    NOT_IDEMPOTENT = "not-idempotent"
    """Still wanted right after it was applied, and nothing else of its deploy changes."""
    INTERRUPTED = "interrupted"
    """Its deploy began and did not end well; what waits for a change runs again, so that no restart is lost."""


@dataclass(frozen=True, slots=True)
class WantedChange:
    """One change as the engine found it, not yet classified.

    ``resource`` is the key of what changes. ``operation`` says in a few words what would happen. ``diff`` is a
    unified diff where there is one; ``private`` says that the resource is not world-readable, so that neither the
    diff nor content may leave the host. ``owns``: of a config repo's operation (``op:…``), the keys of the prunable
    resources that it looks after. ``refused``: it, or some of it, cannot be made and fails when it is tried;
    ``operation`` says why.
    """

    resource: str
    operation: str
    diff: str | None = None
    private: bool = False
    owns: tuple[str, ...] = ()
    refused: bool = False

    @property
    def lines_added(self) -> int:
        return _lines(self.diff, "+")

    @property
    def lines_removed(self) -> int:
        return _lines(self.diff, "-")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a plan: a wanted change, the deploy that wants it, and why. ``set_off``: in words, by which change
    of Git, where the resource itself is wanted as before (a reload because of a file); else empty. ``waits``: for a
    secret that this resource alone needs and that cannot be had; all else of the deploy goes on."""

    deploy: str
    wanted: WantedChange
    cause: Cause
    set_off: str = ""
    waits: Hold | None = None

    @property
    def resource(self) -> str:
        return self.wanted.resource


class HoldKind(StrEnum):
    """The obstacle to a change, a removal, a reboot or a new commit. Reports hold these slugs: they never change."""

    SUSPENDED = "suspended"
    """A person suspended the host, on it or in fleet.yaml."""
    SIGNER_REVOKED = "signer-revoked"
    """The signer of the commit in force is no longer trusted."""
    PINNED = "pinned"
    """A person had the host go to one commit."""
    WINDOW = "window"
    """The host is outside its windows."""
    BAD = "bad"
    """The commit was rolled back for good."""
    INCONCLUSIVE = "inconclusive"
    """The commit was rolled back for a while."""
    BACKOFF = "backoff"
    """The deploy failed, or one that it needs did; it waits for the next try."""
    POLICY = "policy"
    """A policy denies it, or the policies cannot be asked."""
    OBSERVE = "observe"
    """The deploy has ``mode: observe``."""
    NOT_IDEMPOTENT = "not-idempotent"
    """The operation says "changed" each time it runs."""
    PRUNE_HELD = "prune-held"
    """A removal that looks like a mistake; a commit with the right trailer allows it."""
    PRUNE_WAITS = "prune-waits"
    """A removal, while the host is not as wanted or not well; the next cycle asks again."""
    NOT_PRUNED = "not-pruned"
    """A removal that was not possible now; every cycle tries again."""
    UNSEEN = "unseen"
    """A removal of a resource that cannot be looked at; every cycle tries again."""
    ON_REMOVE = "on-remove"
    """What a deploy owns whose ``on_remove`` failed; it is tried again, each time later."""
    REBOOT = "reboot"
    """A reboot that is not allowed now."""
    NOT_ADMITTED = "not-admitted"
    """A deploy that needs a secret, on a host that is not admitted."""
    LACKING = "secret"
    """A deploy that needs a secret which cannot be had."""
    UPDATE = "update"
    """Another version of the agent that may not be tried now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The reason why a change waits, and the end of the wait (seconds since the epoch) where that is known."""

    kind: HoldKind
    reason: str
    until: int | None = None

    @property
    def told(self) -> str:
        """For people: with its end."""
        return waiting(self.reason, self.until)


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """The changes that one deploy would make. With ``unknown`` or ``error`` set there are no changes to name.

    ``unknown``: it cannot be planned before an earlier deploy is applied; not an error.
    ``error``: it cannot be planned although nothing before it is pending.
    """

    deploy: str
    changes: tuple[Change, ...] = ()
    unknown: str | None = None
    error: str | None = None
    resources: tuple[str, ...] = ()
    """Keys of what the engine knows that it looks after, changed or not."""
    unowned: int = 0
    """Operations of a config repo's deploy that look after nothing that could be pruned."""
    moved: bool = False
    """True if Git moved: the deploy's digest is new or differs from the one last applied."""
    trace: str = field(default="", repr=False)
    """The answers to what the look rested on, from before it."""
    waits: Hold | None = None
    """For a secret that cannot be had: its own (what it wants is ``unknown`` then), or that of a deploy it needs."""

    @property
    def possible(self) -> tuple[Change, ...]:
        """The changes that wait for no secret."""
        return tuple(change for change in self.changes if change.waits is None)

    @property
    def known(self) -> bool:
        """True if ``changes`` and ``resources`` tell all: it could be planned."""
        return self.unknown is None and self.error is None

    @property
    def in_sync(self) -> bool:
        return not self.changes and self.known

    @property
    def pending(self) -> bool:
        """True if applying it may still bring something that a later deploy looks for. What was applied before and
        only says "changed" again brings nothing, and neither does a deploy that cannot be planned."""
        if self.waits is not None:
            return False
        return self.unknown is not None or any(change.cause is not Cause.NOT_IDEMPOTENT for change in self.possible)

    @property
    def intends(self) -> bool:
        """True if it wants something that Git newly wants, as far as that is known."""
        if self.error is not None:
            return self.moved
        return self.unknown is not None or any(change.cause is Cause.INTENDED for change in self.possible)


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that would make the host the desired state with this digest, in order."""

    commit: str
    digest: str
    deploys: tuple[DeployPlan, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(change for deploy in self.deploys for change in deploy.changes)

    @property
    def in_sync(self) -> bool:
        return all(deploy.in_sync for deploy in self.deploys)


@dataclass(frozen=True, slots=True)
class HeldChange:
    change: Change
    hold: Hold


@dataclass(frozen=True, slots=True)
class PermittedPlan:
    """A plan after judgement: ``allowed`` says, for each deploy that may run, which resources it may change."""

    plan: Plan
    allowed: Mapping[str, frozenset[str]]
    held: tuple[HeldChange, ...]
    deploy_holds: Mapping[str, Hold]
    """Holds of whole deploys: one that is unknown until applied has no changes that could be held."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """By deploy, how often and of what it failed before, as it is now. That stands until it succeeds."""

    @property
    def intends(self) -> bool:
        """True if something may happen that Git newly wants, and not only the repair of what was changed by hand."""
        return any(deploy.intends for deploy in self.plan.deploys if deploy.deploy in self.allowed)


def _lines(diff: str | None, sign: str) -> int:
    if diff is None:
        return 0
    return sum(1 for line in diff.splitlines() if line.startswith(sign) and not line.startswith(sign * 3))
