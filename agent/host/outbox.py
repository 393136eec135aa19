"""An outbox: where reports wait until they are sent, what was sent last, and what is known here of where they go.

A host has two: one in its state folder, and one in /run for when that folder takes nothing, because the disk is full or
read-only. What waits there is lost with the next boot, and said anew by the first cycle after it.
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
from agent.system.files import read_bounded
from agent.system.room import has_room

RESERVE_REPORTS = 50
RESERVE_BYTES = 1024 * 1024
"""/run is memory."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """A folder, and the spool in it of what is unsent."""

    folder: Path
    spool: Spool

    sent = Below("folder", "sent.json")
    """The last report that arrived."""
    announced = Below("folder", "announced.json")
    """The last report that may have arrived without waiting in the spool: of what the host was about to do."""
    suspect = Below("folder", "suspect.json")
    """The last report that stood in the place of this host's, signed with its key and not known here: once, that may be
    its own all the same."""
    rival = Below("folder", "rival.json")
    """The last report that followed another such one: it is of another machine, which has this host's identity."""
    cache = Below("folder", "status.git")
    """The repository with what the status branch holds."""

    @property
    def takes(self) -> bool:
        """True if the folder takes files now."""
        return has_room(self.folder)

    def documents(self) -> tuple[bytes, ...]:
        """Every document that was sent from here last, or may have been."""
        kept = [signed.document for signed in self.spool.pending()]
        for path in (self.sent, self.announced):
            with suppress(OSError):
                kept.append(read_bounded(path))
        return tuple(kept)

    def last_sent(self) -> Report | None:
        """The last report that arrived; None without one that can be read: then the next report is news."""
        return _report(self.sent)

    def last_rival(self) -> tuple[Report, int] | None:
        """And when it was found, in seconds since the epoch."""
        return _found(self.rival)

    def last_suspect(self) -> tuple[Report, int] | None:
        return _found(self.suspect)


def suspects(outboxes: Iterable[Outbox]) -> list[tuple[Report, int]]:
    """The suspects of all of them."""
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
    """The first that takes something is the one to use."""
    reserve = Spool(paths.run / "spool", max_reports=RESERVE_REPORTS, max_bytes=RESERVE_BYTES)
    return Outbox(paths.var, Spool(paths.spool)), Outbox(paths.run, reserve)
