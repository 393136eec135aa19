"""The memory of a host between cycles, as values; ``host.state`` keeps them as JSON documents.

``trust.json``      the last commit that was trusted                 TrustRecord
``applied.json``    what was applied last, by deploy and resource    Applied
``state.json``      where the host stands: aim, attempts, schedule   State
``suspended.json``  that a person said: touch nothing                Suspension
``pinned.json``     that a person said: stay on this commit          Pinned
``sighted.json``    what was seen on other branches                  Sightings
``update.json``     how far the agent is with a new version of itself  Update
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.commit import Accept, TrustedCommit
from agent.domain.desired import OnRemove
from agent.domain.window import Window

LONGEST_BACKOFF_S = 30 * 60
"""Between two tries of a deploy that fails: every half hour in the end."""


ON_REMOVE = "on_remove:"
"""Begins the name of an attempt to run what a deploy said is to be run when it has left; no deploy has a colon."""


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """``last`` was vouched for by ``principal`` with the key ``fingerprint`` (both empty: nobody was asked), under
    ``tag`` where ``tag_object`` is not empty. ``tags``: every tag that ever was trusted, and the commit it named."""

    last: str | None = None
    principal: str = ""
    at: int = 0
    fingerprint: str = ""
    tag: str = ""
    tag_object: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    """True if this host trusted a commit, and nothing knows any more which."""

    def after(self, commit: TrustedCommit, now: int) -> TrustRecord:
        """The record once ``commit`` is trusted."""
        if commit.sha == self.last:
            return self
        signer, tag = commit.signer, commit.tag
        return TrustRecord(
            last=commit.sha,
            principal=signer.principal if signer else "",
            at=now,
            fingerprint=signer.fingerprint if signer else "",
            tag=tag.name if tag else "",
            tag_object=tag.object if tag else "",
            tags={**self.tags, tag.name: tag.commit} if tag else self.tags,
        )


@dataclass(frozen=True, slots=True)
class AppliedDeploy:
    """One deploy as it was last applied and confirmed.

    ``owned`` and ``steady`` are of a config repo's deploy, whose code may ask the host before it names a thing: keys
    that any plan named, and of those the ones that every plan named which was made when all was as wanted.
    """

    digest: str
    """Empty while it never was applied, only begun."""
    resources: Mapping[str, str] = field(default_factory=dict)
    not_idempotent: tuple[str, ...] = ()
    on_remove: OnRemove | None = None
    owned: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    """Labels of the checks by which the host was judged with it."""
    partly: Mapping[str, str] = field(default_factory=dict)
    """Digests of resources that were applied but for a secret that could not be had."""


@dataclass(frozen=True, slots=True)
class AdoptedCommit:
    """A commit that the host reached, and since when it has been well on it (None: not well now, or superseded;
    ``soaked_s`` then says for how long it was)."""

    sha: str
    at: int
    well_since: int | None = None
    soaked_s: int = 0

    def soaked(self, now: int) -> int:
        """Seconds of being well on this commit without a break, up to now or to its end."""
        return self.soaked_s if self.well_since is None else max(0, now - self.well_since)


@dataclass(frozen=True, slots=True)
class Applied:
    """``commit`` and ``digest`` are of the last desired state that was reached as a whole."""

    commit: str | None = None
    digest: str | None = None
    good: str | None = None
    deploys: Mapping[str, AppliedDeploy] = field(default_factory=dict)
    adopted: tuple[AdoptedCommit, ...] = ()
    good_commit: str | None = None
    """The commit of ``good``, the last state in which the host was found well. A rollback goes to it."""
    served: bool = False
    """True if the host was as wanted once and what is said above was lost since."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The failures in a row of a deploy with this digest, and the time from which it is tried again by itself."""

    digest: str
    failures: int
    not_before: int
    error: str = ""
    """Why, in one line: until the next try nothing else says it."""

    @property
    def told(self) -> str:
        """For people, to be read behind the deploy's name."""
        times = "once" if self.failures == 1 else f"{self.failures} times"
        return f"failed {times}" + (f": {self.error}" if self.error else "")

    def waits(self, now: int) -> bool:
        """Not longer than any wait can be: then a clock that was wrong has been put right since."""
        return 0 < self.not_before - now <= LONGEST_BACKOFF_S


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a forge may say that something was pushed, and the file that holds the secret it says it with."""

    host: str
    port: int
    secret_file: str

    @property
    def listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The part of fleet.yaml that a host remembers. It outlives a commit that nobody can read.

    ``hosts`` counts the inventory: the more there are, the more each of them spreads its reports.
    """

    fetch_s: int = 60
    drift_s: int = 60
    plan_s: int = 1800
    deploy_timeout_s: int = 1800
    status_remote: str | None = None
    """None: the same as the config repo."""
    render: bool = True
    pushes_per_minute: int = 6
    prune_max: int = 10
    prune_percent: int = 20
    """The most resources that may be removed at once, and the most of a hundred in the ledger."""
    settle_s: int = 60
    """The time that an intended change has to come up well."""
    counts: bool = True
    """True if reports say how many lines a change adds and removes."""
    hosts: int = 1
    accept: Accept = field(default_factory=Accept)
    """The commits that were taken as new. The commit trusted last has the last word, if its fleet.yaml can be read."""
    reboots: bool = False
    """True if this host is rebooted when it needs that."""
    windows: tuple[Window, ...] = ()
    """Those of this host; none: it is always open."""
    webhook: Webhook | None = None
    watch: bool = False
    """True if the daemon also looks as soon as something changes."""

    @property
    def budget_s(self) -> int:
        """The seconds that must be left of a window for something to begin in it."""
        return self.deploy_timeout_s + self.settle_s


@dataclass(frozen=True, slots=True)
class State:
    """The state of the host after its last cycle. Times in seconds since the epoch, intervals in seconds."""

    aimed_commit: str | None = None
    aimed_digest: str | None = None
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    phase: str = "starting"
    exit: int = 0
    cause: tuple[str, str, str] = ("", "", "")
    """The problem that the exit code stands for: its kind, message and hint."""
    ended_at: int = 0
    cycles: int = 0
    fleet: FleetSettings = field(default_factory=FleetSettings)
    failed_at_first: tuple[str, ...] | None = None
    """Units that had failed when the agent first looked; they are reported and not counted."""
    pruned: str | None = None
    """The commit at which last nothing was left to remove."""
    refused: str = ""
    """What the last cycle did not trust, and why."""
    rebooted: int = 0
    """The time at which the agent last rebooted the host; 0: never."""
    told: tuple[str, ...] = ()
    """Marks of the problems and holds that events have told, so that they are told once and not every minute."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A commit that a person named, and for how long the host stays on it; None: until it is resumed."""

    commit: str
    since: int
    until: int | None = None

    def holds(self, now: int) -> bool:
        return self.until is None or now < self.until


class UpdateStage(StrEnum):
    """A stage of the agent's way to another version of itself."""

    FAILED = "failed"
    """It could not be installed, or was no better than the one before it; it is tried again."""
    TRIAL = "trial"
    """It is switched to, and has to report well."""
    REVERTED = "reverted"
    """It did not, and was switched back; whether that helps is to be seen."""
    BAD = "bad"
    """That helped: it is not tried again."""


@dataclass(frozen=True, slots=True)
class Update:
    """One version of the agent that was tried: ``name`` is of its environment, ``digest`` of its pin. ``at``: when it
    was switched to, or seen to be switched back; ``troubles``: what was wrong before it; ``reverts``: how often the
    version before it did better."""

    version: str
    name: str
    digest: str
    stage: str
    at: int
    troubles: tuple[str, ...] = ()
    failures: int = 0
    reverts: int = 0
    not_before: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Suspension:
    reason: str
    since: int
    until: int | None = None

    def holds(self, now: int) -> bool:
        return self.until is None or now < self.until
