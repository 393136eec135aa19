"""An outbox: the spool with the reports that wait to be sent, the last ones that were, and a copy of the status branch.

A host has two: one in its state folder, and one in /run, for the time in which that folder takes no files, because the
disk is full or read-only. Reports in /run are lost at a reboot; the first cycle after it reports anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.report import Report
from agent.domain.status import REPORT_LIMIT, SIGNATURE_LIMIT, Signed, all_is_well, decode
from agent.errors import ReportError
from agent.host.paths import Below, Paths
from agent.problems import ProblemKind
from agent.system.files import discard, has_room, make_private_folder, read_bounded, write_atomic

MAX_REPORTS = 1000
"""Three weeks of silence at one report each half hour."""
MAX_BYTES = 16 * 1024 * 1024
"""Bytes of the host's disk that reports may take in a long outage."""
RESERVE_REPORTS = 50
RESERVE_BYTES = 1024 * 1024
"""The limit of the spool in /run, which is memory."""

_LAST = "last-sequence"
_NAME = re.compile(r"([0-9]{1,20})\.json")


@dataclass(frozen=True, slots=True)
class Spool:
    """The reports that are not sent yet: a folder with ``<sequence>.json`` and ``<sequence>.json.sig`` for each, and
    the last sequence given out. A report stays until a push with it has succeeded, within bounds.

    A report counts as kept once its ``.json`` is there. That file is written last and removed first.
    """

    folder: Path
    max_reports: int = field(default=MAX_REPORTS, kw_only=True)
    max_bytes: int = field(default=MAX_BYTES, kw_only=True)

    def highest(self) -> int:
        """The highest sequence given out or kept here; 0 without one."""
        return max(self._last(), *self._sequences(), 0)

    def next_sequence(self, now_ms: int, *, above: int = 0) -> int:
        """Give out a sequence greater than all before it and than ``above``: ``max(last + 1, above + 1, now_ms)``.

        It is on the disk before it is used, so that neither a clock that went back nor a power loss can make readers
        take new reports for old ones. Raises ReportError if the disk does not take it.
        """
        sequence = max(self.highest() + 1, above + 1, now_ms)
        self._write(_LAST, f"{sequence}\n".encode())
        return sequence

    def add(self, signed: Signed) -> tuple[Report, ...]:
        """Keep one report. Return those that were dropped for it: of those by which all is well the oldest first, then
        the oldest of the others.

        Raises ReportError if the disk does not take it.
        """
        name = f"{signed.report.sequence}.json"
        self._write(f"{name}.sig", signed.signature)
        self._write(name, signed.document)
        return self._within_bounds(keep=signed.report.sequence)

    def pending(self) -> tuple[Signed, ...]:
        """All reports that are not sent, the oldest first. Files that cannot be read are removed: nobody could verify
        them."""
        kept: list[Signed] = []
        for sequence in self._sequences():
            path = self.folder / f"{sequence}.json"
            try:
                document = read_bounded(path, REPORT_LIMIT)
                signature = read_bounded(path.with_name(f"{path.name}.sig"), SIGNATURE_LIMIT)
                report = decode(document)
                if report.sequence != sequence:
                    raise ValueError(f"{path} holds the report {report.sequence}")
                kept.append(Signed(report, document, signature))
            except (OSError, ValueError):
                self._remove(sequence)
        self._tidy({f"{signed.report.sequence}.json" for signed in kept})
        return tuple(kept)

    def sent(self, reports: Iterable[Signed]) -> None:
        """Forget ``reports``. To be called only for those in a push that succeeded."""
        for signed in reports:
            self._remove(signed.report.sequence)

    def _within_bounds(self, keep: int) -> tuple[Report, ...]:
        sizes = {sequence: self._size(sequence) for sequence in self._sequences()}
        if len(sizes) <= self.max_reports and sum(sizes.values()) <= self.max_bytes:
            return ()
        candidates = [signed.report for signed in self.pending() if signed.report.sequence != keep]
        candidates.sort(key=lambda report: (not all_is_well(report), report.sequence))
        given_up: list[Report] = []
        for report in candidates:
            if len(sizes) <= self.max_reports and sum(sizes.values()) <= self.max_bytes:
                break
            self._remove(report.sequence)
            del sizes[report.sequence]
            given_up.append(report)
        return tuple(given_up)

    def _tidy(self, kept: set[str]) -> None:
        """Remove what a killed process left: half-written files, and signatures without a report. ``kept``: the names
        of the reports."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name != _LAST and path.name.removesuffix(".sig") not in kept:
                discard(path)

    def _last(self) -> int:
        try:
            return int(read_bounded(self.folder / _LAST, 64))
        except (OSError, ValueError):
            return 0

    def _sequences(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def _size(self, sequence: int) -> int:
        path = self.folder / f"{sequence}.json"
        return path.stat().st_size if path.is_file() else 0

    def _write(self, name: str, data: bytes) -> None:
        try:
            make_private_folder(self.folder)
            write_atomic(self.folder / name, data)
        except OSError as error:
            raise ReportError(
                f"{self.folder}: the report cannot be kept: {error.strerror or error}",
                hint="free some space; the next cycle writes a new report",
                kind=ProblemKind.SPOOL,
            ) from error

    def _remove(self, sequence: int) -> None:
        discard(self.folder / f"{sequence}.json")
        discard(self.folder / f"{sequence}.json.sig")


@dataclass(frozen=True, slots=True)
class Outbox:
    """An outbox. ``folder``: the folder with its files. ``spool``: the reports that are not sent yet."""

    folder: Path
    spool: Spool

    sent = Below("folder", "sent.json")
    """The last report that arrived."""
    announced = Below("folder", "announced.json")
    """The last report that was pushed without waiting in the spool, and may have arrived: of an attempt that was about
    to begin."""
    suspect = Below("folder", "suspect.json")
    """The last report on the branch that is signed with this host's key and was not known here. It may be this host's
    own all the same, if it happens once."""
    rival = Below("folder", "rival.json")
    """The last such report that came after another one: another machine has this host's identity."""
    cache = Below("folder", "status.git")
    """The repository with a copy of the status branch."""

    @property
    def takes(self) -> bool:
        """True if files can be written to the folder now."""
        return has_room(self.folder)

    def documents(self) -> tuple[bytes, ...]:
        """All documents that were sent last from this outbox, or may have been."""
        kept = [signed.document for signed in self.spool.pending()]
        for path in (self.sent, self.announced):
            with suppress(OSError):
                kept.append(read_bounded(path))
        return tuple(kept)

    def last_sent(self) -> Report | None:
        """The last report that arrived; None without one that can be read: then the next report is sent in any case."""
        return _report(self.sent)

    def last_rival(self) -> tuple[Report, int] | None:
        """The report in ``rival``, and the time at which it was found, in seconds since the epoch; None without one."""
        return _found(self.rival)

    def last_suspect(self) -> tuple[Report, int] | None:
        return _found(self.suspect)


def suspects(outboxes: Iterable[Outbox]) -> list[tuple[Report, int]]:
    """The last suspect of each of ``outboxes``, with the time at which it was found."""
    return [suspect for box in outboxes if (suspect := box.last_suspect()) is not None]


def _found(path: Path) -> tuple[Report, int] | None:
    report = _report(path)
    return (report, int(path.stat().st_mtime)) if report is not None else None


def _report(path: Path) -> Report | None:
    try:
        return decode(read_bounded(path))
    except (OSError, ValueError):
        return None


def outboxes_of_host(paths: Paths) -> tuple[Outbox, ...]:
    """The outboxes of this host: that in its state folder, then that in /run. The first that takes files is used."""
    reserve = Spool(paths.run / "spool", max_reports=RESERVE_REPORTS, max_bytes=RESERVE_BYTES)
    return Outbox(paths.var, Spool(paths.spool)), Outbox(paths.run, reserve)
