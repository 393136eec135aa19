"""The spool: reports that are not sent yet. Each is kept until a push with it has succeeded, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.report import Report
from agent.domain.status import REPORT_LIMIT, SIGNATURE_LIMIT, Signed, all_is_well, decode
from agent.errors import ReportError
from agent.problems import ProblemKind
from agent.system.files import discard, make_private_folder, read_bounded, write_atomic

MAX_REPORTS = 1000
"""Three weeks of silence at one report each half hour."""
MAX_BYTES = 16 * 1024 * 1024
"""Bytes of the host's disk that reports may take in a long outage."""

_LAST = "last-sequence"
_NAME = re.compile(r"([0-9]{1,20})\.json")


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder with ``<sequence>.json`` and ``<sequence>.json.sig`` for each report, and the last sequence given out.

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
