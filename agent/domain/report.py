"""The report of a host: one document with its state, the changes it wants, its last cycle, and its health.

The host writes and signs it. Everybody who sees the status branch can read it, so it carries no content found on the
host, and only the counts of a diff: a hand edit may hold a password. ``fleet.reader`` reads the reports of other hosts
strictly, by the limits that stand here. It does without pydantic, which takes longer to load than a fleet to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from agent.domain.codec import Mismatch, ValueCheck
from agent.domain.host_phase import HostPhase
from agent.domain.layout import HOST_NAME

LATEST = 253_402_300_799
"""Seconds since the epoch: the end of the year 9999, beyond which no calendar goes."""


def _within(bound: int, *, low: bool) -> ValueCheck:
    def check(value: int) -> None:
        if value < bound if low else value > bound:
            raise Mismatch(f"at {'least' if low else 'most'} {bound} was expected")

    return check


def _no_longer(bound: int) -> ValueCheck:
    def check(value: str | tuple[object, ...]) -> None:
        if len(value) > bound:
            raise Mismatch(f"it is longer than {bound}")

    return check


def _shaped(pattern: str) -> ValueCheck:
    matches = re.compile(pattern.removeprefix("^").removesuffix("$")).fullmatch

    def check(value: str) -> None:
        if not matches(value):
            raise Mismatch(f"it does not match {pattern}")

    return check


_BOUNDS: dict[str, Callable[[Any], ValueCheck]] = {
    "ge": lambda bound: _within(bound, low=True),
    "le": lambda bound: _within(bound, low=False),
    "max_length": _no_longer,
    "pattern": _shaped,
}


class ValueLimits:
    """The bounds of a value, named as in pydantic, and its description, for ``Annotated``."""

    def __init__(self, *, description: str = "", **bounds: str | int) -> None:
        self.description = description
        self.bounds = bounds
        self.checks = tuple(_BOUNDS[name](bound) for name, bound in bounds.items())
        """Functions that raise Mismatch for a value out of bounds."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """The schema of the type with the bounds. pydantic asks for it when it makes the JSON Schema of the report."""
        return handler(source) | self.bounds

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> Any:
        told = {"description": self.description} if self.description else {}
        return handler(schema) | told


HostName = Annotated[str, ValueLimits(pattern=f"^{HOST_NAME.pattern}$")]
Sha = Annotated[str, ValueLimits(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
Digest = Annotated[str, ValueLimits(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[int, ValueLimits(ge=0, le=LATEST, description="seconds since the epoch, by the host's clock")]
Number = Annotated[int, ValueLimits(ge=-(2**63), le=2**63 - 1)]
"""Any other number, within 64 bits."""
Text = Annotated[str, ValueLimits(max_length=4096)]


class _Part:
    __slots__ = ()
    CLOSED: ClassVar = True
    __pydantic_config__: ClassVar = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(_Part):
    """Something wrong. ``kind`` is for machines and stable; ``message`` and ``hint`` are for people."""

    kind: Annotated[str, ValueLimits(pattern=r"^[a-z0-9-]{1,64}$")]
    message: Text
    hint: Text = ""
    consequence: Literal["retry", "stall"]
    exit: Annotated[int, ValueLimits(ge=1, le=130)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits(_Part):
    """Commits as this host knows them: fetched, trusted, aimed at. Who vouches for the trusted one, and under which
    tag; ``note`` is what should be known of that, such as a key that has expired since."""

    seen: Sha | None = None
    trusted: Sha | None = None
    aimed: Sha | None = None
    signer: Text | None = None
    tag: Text | None = None
    note: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests(_Part):
    """Desired-state digests: last applied, last found to do no harm, and those that are not aimed at again."""

    aimed: Digest | None = None
    applied: Digest | None = None
    good: Digest | None = None
    bad: Annotated[tuple[Digest, ...], ValueLimits(max_length=50)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption(_Part):
    """A commit that this host reached, when, and for how long it has been well on it."""

    sha: Sha
    at: Instant
    soaked_s: Annotated[Number, ValueLimits(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedChange(_Part):
    """One change: what was wanted and counts of what was found; never content."""

    deploy: Text
    resource: Text
    operation: Text
    cause: Literal["intended", "drift", "not-idempotent", "interrupted"]
    state: Literal["wanted", "done", "failed", "held", "stopped"]
    added: Number = 0
    removed: Number = 0
    reason: Text = ""
    """The reason why it is held, or the last line of the operation's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedHold(_Part):
    kind: Text
    reason: Text
    until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedDeploy(_Part):
    """One deploy: ``status`` is its outcome, or ``in-sync``, ``wanted``, ``unknown``, ``error`` from the plan."""

    name: Text
    kind: Text
    digest: Digest
    status: Literal["in-sync", "wanted", "unknown", "error", "done", "failed", "stopped", "skipped", "held"]
    not_idempotent: tuple[Text, ...] = ()
    error: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedResource(_Part):
    """One resource that no deploy wants any more and that is still there, and why."""

    resource: Text
    deploy: Text
    reason: Text = ""


Resources = Annotated[tuple[ReportedResource, ...], ValueLimits(max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedVitals(_Part):
    uptime_s: Number
    load_1m_percent: Number
    memory_total: Number
    memory_available: Number
    swap_used: Number
    disk_total: Number
    disk_free: Number
    inodes_free_percent: Number
    processes: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedHealth(_Part):
    healthy: bool
    complaints: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    failed_units: tuple[Text, ...] = ()
    reboot_required: bool = False
    vitals: ReportedVitals


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEvent(_Part):
    at: Instant
    kind: Text
    message: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(_Part):
    """Version 1 of the document; ``hostwright schema report`` prints its JSON Schema."""

    version: Annotated[int, ValueLimits(ge=1, le=1)] = 1  # pydantic takes true and 1.0 for Literal[1]
    host: HostName
    inventory: Text
    sequence: Annotated[int, ValueLimits(ge=0, le=LATEST * 1000 + 999)]
    """Strictly rising per host: ``max(last + 1, unix milliseconds)``. Readers refuse lower ones."""
    at: Instant
    next_due: Instant
    """The time by which the next report comes. Silence after it is a signal."""
    agent_version: Text
    phase: HostPhase
    commits: Commits
    digests: Digests
    adopted: Annotated[tuple[Adoption, ...], ValueLimits(max_length=20)] = ()
    deploys: tuple[ReportedDeploy, ...] = ()
    changes: Annotated[tuple[ReportedChange, ...], ValueLimits(max_length=200)] = ()
    changes_total: Number = 0
    holds: tuple[ReportedHold, ...] = ()
    problems: tuple[Problem, ...] = ()
    unowned: Number = 0
    """The number of operations in deploy files that look after nothing that could be removed when they leave Git."""
    prune_held: Resources = ()
    """The resources that have left Git, and are removed only when somebody allows it."""
    orphaned: Resources = ()
    """The resources that the agent created, and that stay because somebody changed them."""
    released: Resources = ()
    """The resources that were there before the agent changed them. They stay as they are now."""
    health: ReportedHealth | None = None
    events: Annotated[tuple[ReportedEvent, ...], ValueLimits(max_length=20)] = ()
