"""The status branch as values: the path of a host's report, the signed document, and a reader's verdict on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.domain import codec
from agent.domain.host_phase import HostPhase
from agent.domain.layout import HOST_NAME
from agent.domain.report import Report

HOSTS = "hosts"
"""The folder of the branch that holds all reports."""
PAGE = "README.md"
"""The file with the table of all hosts, which forges show."""
NAMESPACE = "hostwright-report"
"""The namespace of a report's signature: it counts for reports alone."""
REPORT_LIMIT = 256 * 1024
"""Bytes of one report; a full one has about 60 KB."""
SIGNATURE_LIMIT = 4096
"""Bytes of one signature; ours have 308."""
LONGEST_SILENCE_S = 14 * 86400
"""The longest time between two reports, whatever a host announces. 10,000 hosts at one push a minute take a week."""
CLOCKS_DIFFER_S = 600
"""The seconds by which a host's clock may be ahead of a reader's before a reader says so."""


def report_path(host: str) -> str:
    """The path of ``host``'s report. The two hex digits in it divide the reports into folders: with 10,000 files in one
    folder each push would cost 40 times the traffic."""
    return f"{HOSTS}/{hashlib.sha256(host.encode()).hexdigest()[:2]}/{host}.json"


def signature_path(host: str) -> str:
    return f"{report_path(host)}.sig"


def host_of(path: str) -> str | None:
    """The host whose report belongs at ``path``; None for a path of no report."""
    host = path.rpartition("/")[2].removesuffix(".json")
    return host if HOST_NAME.fullmatch(host) and report_path(host) == path else None


def due(report: Report) -> int:
    """The time by which the next report has to be there (seconds since the epoch)."""
    return min(report.next_due, report.at + LONGEST_SILENCE_S)


def ahead_s(report: Report, now: int) -> int:
    """The seconds by which the host's clock was ahead of the reader's ``now``; 0 up to ``CLOCKS_DIFFER_S``. Nobody can
    tell the age of a report from such a clock."""
    return report.at - now if report.at - now > CLOCKS_DIFFER_S else 0


def encode(report: Report) -> bytes:
    """The document that is signed and published. The same report always gives the same bytes."""
    return json.dumps(codec.to_plain(report), indent=2, ensure_ascii=False).encode() + b"\n"


def decode(document: bytes) -> Report:
    """A report of this host itself; ``fleet.reader`` reads those of others. Raises ValueError."""
    return codec.decode(document, Report)


@dataclass(frozen=True, slots=True)
class Signed:
    """One report ready to publish: ``document`` is ``encode(report)``, ``signature`` an armoured SSHSIG over it."""

    report: Report
    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A report or request as it lies on the branch, not verified. ``document`` or ``signature`` may be missing.

    ``flaw``: why the content was not read (too large, not a file); empty where it was.
    """

    path: str
    document: bytes | None
    signature: bytes | None
    flaw: str = ""


class ReportVerdict(StrEnum):
    """The result of checking what lies at a path."""

    VERIFIED = "verified"
    UNADMITTED = "not-admitted"
    """Well-formed, but the config repo has no identity of the host, so nobody can verify the signature."""
    REFUSED = "refused"
    """Signed by another key, for another host, altered, or older than what was seen before."""
    UNREADABLE = "unreadable"
    """Not a report, or not at the path of one."""
    MISSING = "missing"
    """There is no report, though the host is in the inventory, or admitted."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """The status of one host, as a reader found it. ``report``: verified where the verdict is VERIFIED; a mere claim,
    to be shown as one, where it is UNADMITTED; else None. ``host``: the name in the path; the printable path itself
    where it names no host. ``why``: the reason for the verdict.
    """

    host: str
    report: Report | None
    verdict: ReportVerdict
    why: str
    path: str

    @property
    def verified(self) -> bool:
        return self.verdict is ReportVerdict.VERIFIED

    @property
    def well(self) -> bool:
        """True if all is well by the report, verified or claimed."""
        return self.report is not None and all_is_well(self.report)


def all_is_well(report: Report) -> bool:
    """True if the report has nothing that needs attention: the host is converged and healthy, without problems and
    without drift, repaired or not."""
    return (
        report.phase is HostPhase.CONVERGED
        and not report.problems
        and (report.health is None or report.health.healthy)
        and not any(change.cause == "drift" for change in report.changes)
    )


def newer_elsewhere(
    statuses: Iterable[HostStatus], own: Report, knows: Callable[[str], bool]
) -> tuple[HostStatus, str] | None:
    """A peer of the host ``own``, and the commit that the peer reached before ``own`` last looked at the remote and
    that ``own`` has not been shown; None without one. ``knows``: True for a commit that is on the host.

    Only verified reports of the same inventory count. The two clocks may differ by ``CLOCKS_DIFFER_S``.
    """
    if own.commits.seen is None:
        return None
    for status in statuses:
        peer = status.report
        if not status.verified or peer is None or peer.host == own.host or peer.inventory != own.inventory:
            continue
        newest = max(peer.adopted, key=lambda adoption: adoption.at, default=None)
        if newest is not None and newest.at + CLOCKS_DIFFER_S <= own.at and not knows(newest.sha):
            return status, newest.sha
    return None
