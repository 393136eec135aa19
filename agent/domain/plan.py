"""Plans: the changes that would be made on a host now, and the holds on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.text import waiting


class Cause(StrEnum):
    """The reason for a change."""

    INTENDED = "intended"
    """Git wants something new: the resource's digest differs from the one last applied, or there is none yet, or a
    change of such a resource set this one off."""
    DRIFT = "drift"
    """Something on the host changed: the resource's digest is the one last applied."""
    NOT_IDEMPOTENT = "not-idempotent"
    """The operation was wanted again right after it had run, and nothing else of its deploy changes."""
    INTERRUPTED = "interrupted"
    """Its deploy began before and did not end well. Operations that wait for a change run again, so that no restart is
    lost."""


@dataclass(frozen=True, slots=True)
class WantedChange:
    """One change as the engine found it, not yet classified.

    ``resource``: the key of what changes. ``operation``: in a few words, what would happen. ``diff``: a unified diff
    where there is one. ``private``: True if the resource is not world-readable, so that neither diff nor content may
    leave the host. ``owns``: the keys of the prunable resources that an operation of a deploy file (``op:…``) looks
    after. ``refused``: True if the change, or a part of it, cannot be made and would fail; ``operation`` says why.
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
    """One change of a plan: a wanted change, the deploy that wants it, and the reason.

    ``set_off``: the change of Git that set this one off, in words, such as the file that a reload is for; empty where
    the resource changes for its own sake. ``waits``: the hold where this resource alone needs a secret that cannot be
    had; the rest of the deploy goes on."""

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
    """A person told the host to stay on one commit."""
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
    """A removal of what a deploy owned whose ``on_remove`` failed. It is tried again, after a longer wait each time."""
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
    def full_text(self) -> str:
        """The reason and, where it is known, the end of the wait, for people."""
        return waiting(self.reason, self.until)


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """The changes that one deploy would make; none where ``unknown`` or ``error`` is set.

    ``unknown``: the reason why it cannot be planned before an earlier deploy is applied. That is no error.
    ``error``: the reason why it cannot be planned although nothing before it is pending.
    """

    deploy: str
    changes: tuple[Change, ...] = ()
    unknown: str | None = None
    error: str | None = None
    resources: tuple[str, ...] = ()
    """Keys of the resources that the deploy looks after, as far as the engine knows them, changed or not."""
    unowned: int = 0
    """The number of operations of a deploy file that look after nothing that could be pruned."""
    moved: bool = False
    """True if the deploy's digest is new or differs from the one last applied."""
    trace: str = field(default="", repr=False)
    """The questions that the look at the host rested on, with their answers from before it (``agent.trace``)."""
    waits: Hold | None = None
    """The hold where the deploy needs a secret that cannot be had (``unknown`` is set then), or needs another deploy
    that does."""

    @property
    def possible(self) -> tuple[Change, ...]:
        """The changes that wait for no secret."""
        return tuple(change for change in self.changes if change.waits is None)

    @property
    def known(self) -> bool:
        """True if the deploy could be planned, so that ``changes`` and ``resources`` are complete."""
        return self.unknown is None and self.error is None

    @property
    def in_sync(self) -> bool:
        return not self.changes and self.known

    @property
    def pending(self) -> bool:
        """True if applying the deploy may bring something that a later deploy looks for. False where all it wants is to
        repeat operations that are not idempotent, where it waits for a secret, or where it cannot be planned."""
        if self.waits is not None:
            return False
        return self.unknown is not None or any(change.cause is not Cause.NOT_IDEMPOTENT for change in self.possible)

    @property
    def intends(self) -> bool:
        """True if Git newly wants some of it. Where the deploy cannot be planned, its digest tells; where its changes
        are unknown, True."""
        if self.error is not None:
            return self.moved
        return self.unknown is not None or any(change.cause is Cause.INTENDED for change in self.possible)


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that would bring the host to the desired state with this ``digest``, deploy by deploy, in order."""

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
    """A plan, and the part of it that may happen. ``allowed``: by deploy that may run, the keys of the resources that
    it may change. ``held``: the other changes."""

    plan: Plan
    allowed: Mapping[str, frozenset[str]]
    held: tuple[HeldChange, ...]
    deploy_holds: Mapping[str, Hold]
    """The holds on whole deploys, by name. A deploy whose changes are unknown has no changes that could be held."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """By deploy, how often and why it failed in its present form (``Attempt.full_text``), until it succeeds."""

    @property
    def intends(self) -> bool:
        """True if something may happen that Git newly wants, and not only repairs of drift."""
        return any(deploy.intends for deploy in self.plan.deploys if deploy.deploy in self.allowed)


def _lines(diff: str | None, sign: str) -> int:
    if diff is None:
        return 0
    return sum(1 for line in diff.splitlines() if line.startswith(sign) and not line.startswith(sign * 3))
