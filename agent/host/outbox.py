"""An outbox: the reports that wait to be sent, the last ones that were, and a copy of the status branch.

A host has two: one in its state folder, and one in /run, for the time in which that folder takes no files, because the
disk is full or read-only. Reports in /run are lost at a reboot; the first cycle after it reports anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.domain.report import Report
from agent.domain.status import decode
from agent.host.paths import Below, Paths
from agent.host.spool import Spool
from agent.system.files import has_room, read_bounded

RESERVE_REPORTS = 50
RESERVE_BYTES = 1024 * 1024
"""The limit of the spool in /run, which is memory."""


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
