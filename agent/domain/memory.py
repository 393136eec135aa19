"""The memory of a host between cycles, as values; ``host.state`` keeps them as JSON documents.

``trust.json``      the last commit that was trusted                 TrustRecord
``applied.json``    what was applied last, by deploy and resource    Applied
``state.json``      the state aimed at, attempts, settings           State
``suspended.json``  the suspension that a person set                 Suspension
``pinned.json``     the commit that a person said to stay on         Pinned
``sighted.json``    the commits seen on other branches               Sightings
``update.json``     the version of the agent that was tried last     Update
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.commit import Accept, TrustedCommit
from agent.domain.desired import OnRemove
from agent.domain.window import Window

LONGEST_BACKOFF_S = 30 * 60
"""The longest wait between two tries of a deploy that fails, in seconds."""


ON_REMOVE = "on_remove:"
"""The beginning of the name of an ``Attempt`` that is one of a deploy's ``on_remove``. No name of a deploy has a
colon."""


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The commit trusted last, and who vouched for it.

    ``last``: the commit; None without one. ``principal`` and ``fingerprint``: the signer and the key; empty where no
    signature was asked for. ``tag`` and ``tag_object``: the tag that the signature is of; empty where it is the
    commit's own. ``at``: seconds since the epoch. ``tags``: every tag that was ever trusted, and the commit that it
    named."""

    last: str | None = None
    principal: str = ""
    at: int = 0
    fingerprint: str = ""
    tag: str = ""
    tag_object: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    """True if this host trusted a commit before, and its record of which one is lost."""

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

    ``resources``: by key, the digest last applied. ``owned`` and ``steady`` are for a deploy file, whose code may name
    other resources from one plan to the next: the keys that any plan named, and of these the keys that were in every
    plan made while the host was as wanted.
    """

    digest: str
    """Empty where the deploy was begun and never applied."""
    resources: Mapping[str, str] = field(default_factory=dict)
    not_idempotent: tuple[str, ...] = ()
    on_remove: OnRemove | None = None
    owned: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    """Labels of the checks by which the host was judged with it."""
    partly: Mapping[str, str] = field(default_factory=dict)
    """By key, the digests of resources that were applied except for a secret that could not be had."""


@dataclass(frozen=True, slots=True)
class AdoptedCommit:
    """A commit that the host reached, with times in seconds since the epoch. ``well_since``: the time since which the
    host has been well on it; None where the host is not well now, or is on another commit: then ``soaked_s`` is the
    number of seconds for which it was."""

    sha: str
    at: int
    well_since: int | None = None
    soaked_s: int = 0

    def soaked(self, now: int) -> int:
        """The seconds for which the host has been, or was, well on this commit without a break."""
        return self.soaked_s if self.well_since is None else max(0, now - self.well_since)


@dataclass(frozen=True, slots=True)
class Applied:
    """The state of the host as the agent left it. ``commit`` and ``digest``: those of the last desired state that was
    applied as a whole; None without one. ``good``: the digest of the last desired state in which the host was well."""

    commit: str | None = None
    digest: str | None = None
    good: str | None = None
    deploys: Mapping[str, AppliedDeploy] = field(default_factory=dict)
    adopted: tuple[AdoptedCommit, ...] = ()
    good_commit: str | None = None
    """The commit of ``good``. A rollback goes to it."""
    served: bool = False
    """True if the host was in service before, and the fields above were lost."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The failures in a row of a deploy with this digest. ``not_before``: the time (seconds since the epoch) from which
    the agent tries it again by itself."""

    digest: str
    failures: int
    not_before: int
    error: str = ""
    """The reason for the last failure, in one line."""

    @property
    def full_text(self) -> str:
        """The failures in words that go on behind the deploy's name: ``failed 2 times: …``."""
        times = "once" if self.failures == 1 else f"{self.failures} times"
        return f"failed {times}" + (f": {self.error}" if self.error else "")

    def waits(self, now: int) -> bool:
        """True if the time for another try has not come. False also where it is further away than any wait is long:
        the clock was wrong then, and has been put right since."""
        return 0 < self.not_before - now <= LONGEST_BACKOFF_S


@dataclass(frozen=True, slots=True)
class Webhook:
    """The address at which this host takes requests of a forge, and the file with the secret that signs them."""

    host: str
    port: int
    secret_file: str

    @property
    def listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The part of fleet.yaml that a host remembers: it still counts when the newest commit cannot be read.

    ``hosts``: the number of hosts in the inventory. The more there are, the more seldom each of them reports.
    """

    fetch_s: int = 60
    drift_s: int = 60
    plan_s: int = 1800
    deploy_timeout_s: int = 1800
    status_remote: str | None = None
    """The URL of the status remote; None: the same as the config repo."""
    render: bool = True
    pushes_per_minute: int = 6
    prune_max: int = 10
    prune_percent: int = 20
    """The most resources that may be removed at once: ``prune_max`` of them, and ``prune_percent`` of the ledger."""
    settle_s: int = 60
    """The seconds for which the host is watched after an intended change."""
    counts: bool = True
    """True if reports say how many lines a change adds and removes."""
    hosts: int = 1
    accept: Accept = field(default_factory=Accept)
    """The commits that the host takes as new. Used where fleet.yaml of the commit trusted last cannot be read."""
    reboots: bool = False
    """True if the agent may reboot this host when it needs that."""
    windows: tuple[Window, ...] = ()
    """The maintenance windows of this host; without any, changes may be made at any time."""
    webhook: Webhook | None = None
    watch: bool = False
    """True if the kernel tells the daemon when a file changes, so that it looks before its interval is over."""

    @property
    def budget_s(self) -> int:
        """The seconds that must be left of a window, or nothing more is begun in it."""
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
    """Units that had failed when the agent first looked; they are reported and not counted. None: it never looked."""
    pruned: str | None = None
    """The last commit at which nothing was left to remove."""
    refused: str = ""
    """The commit that the last cycle did not trust, and why; empty without one."""
    rebooted: int = 0
    """The time at which the agent last rebooted the host; 0: never."""
    told: tuple[str, ...] = ()
    """Marks of the problems and holds that stand in events already, so that each stands there once and not once a
    cycle."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A commit that a person named. ``until``: the end of the host's stay on it, in seconds since the epoch; None:
    until a person resumes the host."""

    commit: str
    since: int
    until: int | None = None

    def is_current(self, now: int) -> bool:
        return self.until is None or now < self.until


class UpdateStage(StrEnum):
    """A stage of the agent's way to another version of itself."""

    FAILED = "failed"
    """The version could not be installed, or was no better than the one before it. It is tried again."""
    TRIAL = "trial"
    """The version runs, and has to report well."""
    REVERTED = "reverted"
    """The version did not report well. The one before it runs again; nobody knows yet whether that helps."""
    BAD = "bad"
    """Switching back helped. The version is not tried again."""


@dataclass(frozen=True, slots=True)
class Update:
    """One version of the agent that was tried. Times in seconds since the epoch.

    ``name``: that of its environment. ``digest``: that of its pin. ``stage``: an ``UpdateStage``. ``at``: the time at
    which the agent switched to it, or noticed that it was switched back. ``troubles``: what was wrong before the
    switch. ``reverts``: how often the version before it did better. ``not_before``: the time of the next try. ``why``:
    the reason for the last failure."""

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

    def is_current(self, now: int) -> bool:
        return self.until is None or now < self.until
