"""An outbox: where reports wait until they are sent, what was sent last, and what is known here of where they go.

A host has two: one in its state folder, and one in /run for when that folder takes nothing, because the disk is full or
read-only. What waits there is lost with the next boot, and said anew by the first cycle after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.domain.report import Report
from agent.domain.status import decode
from agent.host.paths import Paths
from agent.host.spool import Spool
from agent.system.files import read_bounded
from agent.system.room import has_room

RESERVE_REPORTS = 50
RESERVE_BYTES = 1024 * 1024
"""/run is memory."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """``sent``: the last report that arrived. ``cache``: the repository with what the status branch holds."""

    folder: Path
    spool: Spool
    sent: Path
    cache: Path

    @property
    def takes(self) -> bool:
        """Whether anything can be written there now."""
        return has_room(self.folder)

    def last_sent(self) -> Report | None:
        try:
            return decode(read_bounded(self.sent))
        except (OSError, ValueError):
            # None yet, or an older version's: then the next one is news.
            return None


def outboxes_of_host(paths: Paths) -> tuple[Outbox, ...]:
    """The first that takes something is the one to use."""
    reserve = Spool(paths.run / "spool", max_reports=RESERVE_REPORTS, max_bytes=RESERVE_BYTES)
    return (
        Outbox(paths.var, Spool(paths.spool), paths.sent, paths.status_repo),
        Outbox(paths.run, reserve, paths.run / "sent.json", paths.run / "status.git"),
    )
