"""The moment at which a host sends its report: news at once, all-is-well in its slot, and a heartbeat. Pure.

A branch takes a few pushes a second at best, and a forge may ask for a few a minute. So reports that can wait are
spread over the time that the whole fleet needs at the pace that fleet.yaml allows.
"""

from __future__ import annotations

import hashlib

from agent.domain.memory import FleetSettings
from agent.domain.report import Report
from agent.domain.status import all_is_well

SHORTEST_HEARTBEAT_S = 30 * 60
"""Seconds: two missed reports are then an hour of silence. More reports would be noise in a history that people
read."""

LATE_S = 15 * 60
"""Seconds that are added to the heartbeat before a host counts as silent: one slow cycle is no news."""


def heartbeat_s(hosts: int, pushes_per_minute: int) -> int:
    """The seconds between two reports of a host without news: half an hour, or the fleet's window if that is longer."""
    return max(SHORTEST_HEARTBEAT_S, window_s(hosts, pushes_per_minute))


def window_s(hosts: int, pushes_per_minute: int) -> int:
    """The seconds over which a fleet spreads reports that can wait: 0 if all of them fit into one minute."""
    pace = max(1, pushes_per_minute)
    return 0 if hosts <= pace else -(-hosts * 60 // pace)


def lately(at: int, now: int, fleet: FleetSettings) -> bool:
    """True if the moments, in seconds since the epoch, are at most two heartbeats of this fleet and LATE_S apart."""
    return abs(now - at) <= 2 * heartbeat_s(fleet.hosts, fleet.pushes_per_minute) + LATE_S


def slot_s(host: str, commit: str, window: int) -> int:
    """The seconds from the beginning of ``window`` to this host's slot in it, which differs from commit to commit."""
    drawn = int.from_bytes(hashlib.sha256(f"{host}\0{commit}".encode()).digest()[:8], "big")
    return drawn % window if window > 0 else 0


def next_send(current: Report, last_sent: Report | None, *, now: int, heartbeat: int, window: int) -> int:
    """The moment from which on ``current`` is to be sent, if it stays as it is, in seconds since the epoch.

    At once: the first report, news, and any report after the clock went back. In the slot: the report of a host that
    was and is well, and is on another commit. Else ``heartbeat`` seconds after the last report.
    """
    if last_sent is None or now < last_sent.at:
        return now
    due = last_sent.at + heartbeat
    moved = current.commits.aimed != last_sent.commits.aimed
    if moved and all_is_well(current) and all_is_well(last_sent):
        commit = current.commits.aimed or ""
        adopted = next((adoption.at for adoption in current.adopted if adoption.sha == commit), now - window)
        return min(due, adopted + slot_s(current.host, commit, window))
    return now if _news(current) != _news(last_sent) else due


def _news(report: Report) -> tuple[object, ...]:
    """The parts of a report that change when something happens, but not with time alone."""
    health = report.health
    return (
        report.inventory,
        report.agent_version,
        report.phase,
        report.digests,
        report.commits.aimed,
        report.commits.trusted,
        tuple(problem.kind for problem in report.problems),  # messages may hold times and numbers
        tuple((change.deploy, change.resource, change.cause, change.state) for change in report.changes),
        tuple((deploy.name, deploy.status, deploy.not_idempotent) for deploy in report.deploys),
        tuple(hold.kind for hold in report.holds),
        (health.complaints, health.failed_units, health.reboot_required) if health is not None else None,
    )
