"""The status branch as values: where a host's report lies, what was signed, and what a reader makes of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from agent.domain import codec
from agent.domain.host_name import HOST_NAME
from agent.domain.phase import Phase
from agent.domain.report import Report

HOSTS = "hosts"
"""The folder of the branch that holds all reports."""
PAGE = "README.md"
"""The table that forges show."""
NAMESPACE = "hostwright-report"
"""What a report's signature is good for, and nothing else."""
REPORT_LIMIT = 256 * 1024
"""Bytes of one report; a full one has about 60 KB."""
SIGNATURE_LIMIT = 4096
"""Bytes of one signature; ours have 308."""
LONGEST_SILENCE_S = 14 * 86400
"""No host may stay silent for longer, whatever it announces: 10,000 hosts at one push a minute take a week."""
CLOCKS_DIFFER_S = 600
"""By how much a host's clock may be ahead of a reader's before that is worth a word."""


def report_path(host: str) -> str:
    """The path of ``host``'s report. Two hex digits between: a flat folder of 10,000 costs 40 times the traffic."""
    return f"{HOSTS}/{hashlib.sha256(host.encode()).hexdigest()[:2]}/{host}.json"


def signature_path(host: str) -> str:
    return f"{report_path(host)}.sig"


def host_of(path: str) -> str | None:
    """The host whose report belongs at ``path``; None when no host's does."""
    host = path.rpartition("/")[2].removesuffix(".json")
    return host if HOST_NAME.fullmatch(host) and report_path(host) == path else None


def due(report: Report) -> int:
    """The time by which the next report has to be there (seconds since the epoch)."""
    return min(report.next_due, report.at + LONGEST_SILENCE_S)


def ahead_s(report: Report, now: int) -> int:
    """By how many seconds the host's clock was ahead of the reader's ``now``; 0 where that is within what clocks
    differ. Nobody can tell how old such a report is."""
    return report.at - now if report.at - now > CLOCKS_DIFFER_S else 0


def encode(report: Report) -> bytes:
    """The document that is signed and published: the same report is always the same bytes."""
    return json.dumps(codec.to_plain(report), indent=2, ensure_ascii=False).encode() + b"\n"


def decode(document: bytes) -> Report:
    """A report of this host's own; ``fleet.reader`` reads those of others. Raises ValueError."""
    return codec.decode(document, Report)


@dataclass(frozen=True, slots=True)
class Signed:
    """One report ready to publish: ``document`` is ``encode(report)``, ``signature`` an armoured SSHSIG over it."""

    report: Report
    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A report or request as it lies on the branch, nothing judged: either part may be missing.

    ``flaw`` says why the content was not even read (too large, not a file).
    """

    path: str
    document: bytes | None
    signature: bytes | None
    flaw: str = ""


class ReportVerdict(StrEnum):
    """The result of checking what lies at a path."""

    VERIFIED = "verified"
    UNADMITTED = "not-admitted"
    """Well-formed, but no merged identity says whose signature to expect."""
    REFUSED = "refused"
    """Signed by another key, for another host, altered, or older than what was seen before."""
    UNREADABLE = "unreadable"
    """Not a report, or not at a report's place."""
    MISSING = "missing"
    """The host is of the inventory, or admitted, and there is no report of it."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """The knowledge of one host. There is a ``report`` where the verdict is VERIFIED, and a mere claim, to be shown as
    one, where it is UNADMITTED. ``host`` is taken from the path; where that names no host it is the path, printable.
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
        """Verified or at least claimed: converged, and nothing to complain about."""
        return self.report is not None and all_is_well(self.report)


def all_is_well(report: Report) -> bool:
    """Nothing in it that anybody would want to know at once: converged, healthy, and no drift, repaired or not."""
    return (
        report.phase is Phase.CONVERGED
        and not report.problems
        and (report.health is None or report.health.healthy)
        and not any(change.cause == "drift" for change in report.changes)
    )
