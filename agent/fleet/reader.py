"""The reports on the status branch, read and judged.

Everybody who may push can put anything there. So no function here raises an error for the content of a document: a
wrong one becomes a ``HostStatus`` that tells why, and everything is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from agent.domain.codec import from_plain, plain_json
from agent.domain.report import Report
from agent.domain.status import (
    HOSTS,
    NAMESPACE,
    REPORT_LIMIT,
    SIGNATURE_LIMIT,
    HostStatus,
    RawDocument,
    ReportVerdict,
    host_of,
    report_path,
)
from agent.domain.text import printable
from agent.errors import TrustError
from agent.system import sshsig
from agent.system.git_branch import Branch, BranchFile

MANY = 1000
"""Reports from which on pydantic is loaded: it reads one in a quarter of the time."""

TOTAL_LIMIT = 512 * 1024 * 1024
"""Bytes of all reports together that one reader takes into memory: 10,000 full ones of 50 KB."""


def found_on(branch: Branch, commit: str | None) -> tuple[RawDocument, ...]:
    """The reports in ``commit`` of the branch, sorted by path. The commit was fetched before. Raises only what
    ``Branch`` raises."""
    files = {file.path: file for file in branch.files(commit, HOSTS)}
    return read_documents(branch, files, documents(files), REPORT_LIMIT)


def documents(files: Mapping[str, BranchFile]) -> list[str]:
    """The paths of ``files`` that are not the signature of another one."""
    return [path for path in files if not (path.endswith(".sig") and path.removesuffix(".sig") in files)]


def read_documents(
    branch: Branch, files: Mapping[str, BranchFile], paths: Sequence[str], limit: int
) -> tuple[RawDocument, ...]:
    """The documents at ``paths`` with their signatures. A document of more than ``limit`` bytes, or beyond TOTAL_LIMIT
    for all together, has no content but a flaw. Raises only what ``Branch`` raises."""
    readable: list[BranchFile] = []
    left = TOTAL_LIMIT
    for path in paths:
        for file, most in ((files[path], limit), (files.get(f"{path}.sig"), SIGNATURE_LIMIT)):
            if file is not None and file.size is not None and file.size <= min(most, left):
                readable.append(file)
                left -= file.size
    contents = branch.contents(readable)
    return tuple(
        RawDocument(
            path, contents.get(path), contents.get(f"{path}.sig"), "" if path in contents else _flaw(files[path])
        )
        for path in paths
    )


def parse(document: bytes) -> Report:
    """The report in ``document``, which anybody may have written. Raises ValueError with the reason."""
    if len(document) > REPORT_LIMIT:
        raise ValueError(f"larger than {REPORT_LIMIT} bytes")
    return from_plain(plain_json(document), Report)


def _reader_of(count: int) -> Callable[[bytes], Report]:
    """A function like ``parse``, which is faster if ``count`` reports are MANY or more."""
    if count < MANY:
        return parse
    from pydantic import TypeAdapter

    reports = TypeAdapter(Report)

    def read(document: bytes) -> Report:
        with suppress(ValueError):
            if len(document) <= REPORT_LIMIT:
                return reports.validate_json(document, strict=True)
        return parse(document)  # its error tells the reason

    return read


def judge(
    found: RawDocument,
    identities: Mapping[str, str],
    seen: Mapping[str, int],
    read: Callable[[bytes], Report] = parse,
) -> HostStatus:
    """The status of the host whose report ``found`` is. ``identities``: the line of each host's public key, from the
    newest trusted config commit. ``seen``: the highest sequence of each host that this reader verified before; a lower
    one is a replay."""
    host = host_of(found.path)
    if host is None:
        name = printable(found.path)
        return HostStatus(name, None, ReportVerdict.UNREADABLE, "not the place of any host's report", found.path)
    if found.document is None:
        return HostStatus(host, None, ReportVerdict.UNREADABLE, found.flaw, found.path)
    try:
        report = read(found.document)
    except ValueError as error:
        why = printable(f"not a report: {error}")
        return HostStatus(host, None, ReportVerdict.UNREADABLE, why, found.path)
    if host not in identities and report.host == host:
        why = f"no identities/{host}.pub is merged: anybody could have written this"
        return HostStatus(host, report, ReportVerdict.UNADMITTED, why, found.path)
    refusal = _refusal(host, report, found, identities, seen)
    if refusal is not None:
        return HostStatus(host, None, ReportVerdict.REFUSED, refusal, found.path)
    return HostStatus(host, report, ReportVerdict.VERIFIED, "", found.path)


def _refusal(
    host: str, report: Report, found: RawDocument, identities: Mapping[str, str], seen: Mapping[str, int]
) -> str | None:
    if report.host != host:
        return f"the report is about another host, {report.host}"
    if not found.signature:
        return "not signed"
    try:
        sshsig.verify(identities[host], found.document or b"", found.signature, NAMESPACE)
    except TrustError as error:
        return error.message
    if report.sequence < seen.get(host, 0):
        return f"an old report: {seen[host]} was seen before, this is {report.sequence}"
    return None


def judge_all(
    found: Iterable[RawDocument],
    identities: Mapping[str, str],
    seen: Mapping[str, int] | None = None,
    hosts: Collection[str] = (),
) -> tuple[HostStatus, ...]:
    """The status of every host that reported, is admitted, or is among ``hosts`` (the inventory's), sorted by name."""
    known = seen or {}
    found = tuple(found)
    read = _reader_of(len(found))
    statuses = [judge(one, identities, known, read) for one in found]
    silent = {*identities, *hosts} - {status.host for status in statuses}
    statuses += [
        HostStatus(host, None, ReportVerdict.MISSING, _silence(host, identities, known), report_path(host))
        for host in silent
    ]
    return tuple(sorted(statuses, key=lambda status: status.host))


def _silence(host: str, identities: Mapping[str, str], seen: Mapping[str, int]) -> str:
    if host in seen:
        return "there was a report, and it is gone from the branch"
    return "admitted, and no report yet" if host in identities else f"no report yet, no identities/{host}.pub is merged"


def belongs(status: HostStatus, identities: Mapping[str, str], hosts: Collection[str] | None) -> bool:
    """True if ``status`` belongs to this fleet: its host is in the inventory or admitted to it, or it is at a path that
    belongs to no host. Other reports are from retired hosts or other inventories. ``hosts`` None: the hosts of the
    inventory are unknown, and every status belongs."""
    return hosts is None or status.host in hosts or status.host in identities or host_of(status.path) is None


def now_seen(statuses: Sequence[HostStatus], seen: Mapping[str, int]) -> Mapping[str, int]:
    """The highest verified sequence of each host: ``seen``, raised by ``statuses``, never lowered."""
    verified = {status.host: status.report.sequence for status in statuses if status.verified and status.report}
    return {**seen, **{host: max(sequence, seen.get(host, 0)) for host, sequence in verified.items()}}


def _flaw(file: BranchFile) -> str:
    if file.size is None:
        return "not a file, or too large to be fetched"
    return f"too large: {file.size} bytes" if file.size > REPORT_LIMIT else "all reports together are too large"
