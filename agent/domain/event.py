"""Events: the record that a host keeps of what happened on it, one line each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """The kinds of events. An event may also have another kind: ``problem-<kind of problem>``; for a hold its kind; for
    a held change ``held-<cause>``."""

    APPLIED = "applied"
    """A change that Git wanted was made."""
    DRIFT_REPAIRED = "drift-repaired"
    """A change that somebody made on the host was undone."""
    EVIDENCE = "evidence"
    """Signs of who changed the host, no proof: owner and times of what changed, and lines of logs, all in ``diff``. It
    comes before the events of the repairs."""
    RUN_AGAIN = "run-again"
    """An operation that is not idempotent ran again, with a change of its deploy."""
    INTERRUPTED_RESUMED = "interrupted-resumed"
    """A deploy that had been interrupted was finished."""
    WARNED = "warned"
    """A policy warns of what was changed."""
    FAILED = "failed"
    """An operation failed."""
    ADOPTED = "adopted"
    """The host reached a commit as a whole."""
    TAKEN_BACK = "taken-back"
    """A rollback undid a change, or removed what the attempt had brought."""
    NOT_TAKEN_BACK = "not-taken-back"
    """A rollback could not undo something."""
    PRUNED = "pruned"
    """A resource that left Git was removed, or was gone already."""
    ORPHANED = "orphaned"
    """A resource that left Git stays, because somebody changed it."""
    RELEASED = "released"
    """A resource that left Git stays, because it was there before the agent."""
    DEPARTED = "departed"
    """The ``on_remove`` of a deploy that left Git ran."""
    REVOKED = "revoked"
    """Access that left Git was taken away."""
    SIGNER = "signer"
    """The signer of the trusted commit is worth a note, such as a key that has expired."""
    UNHEALTHY = "unhealthy"
    """A check of the host's health fails."""
    RECOVERED = "recovered"
    """Nothing is wrong or held any more."""
    REBOOTING = "rebooting"
    """The host reboots."""
    UPDATED = "updated"
    """The agent runs another version of itself."""
    RESCUED = "rescued"
    """The agent's environment was built anew."""
    REPORT_GIVEN_UP = "report-given-up"
    """A report that waited too long was dropped."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``at``: seconds since the epoch. ``kind``: see ``EventKind``. ``diff``: never leaves the host.
    ``subject``: the unit or the check that the event is about."""

    at: int
    kind: str
    message: str
    deploy: str = ""
    resource: str = ""
    diff: str | None = None
    subject: str = ""
