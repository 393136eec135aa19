"""cron jobs for the ledger: each is a file, and is treated as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.deploys.cron.place import path_of
from agent.deploys.files.resource import File
from agent.domain.ownership import LedgerEntry, Seen


class CronJobs(File):
    """``cron:``; states are those of ``file:``."""

    def look(self, name: str) -> Seen | None:
        return super().look(path_of(name))

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        files = {_as_file(entry).key: entry.key for entry in entries}
        stayed = super().remove([_as_file(entry) for entry in entries], purge=purge)
        return {files[key]: reason for key, reason in stayed.items()}

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        super().restore(_as_file(entry), image)


def _as_file(entry: LedgerEntry) -> LedgerEntry:
    return replace(entry, key=f"file:{path_of(entry.name)}")
