"""cron jobs for the ledger: each is a file, and is treated as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.deploys import resource
from agent.deploys.cron.place import path_of
from agent.deploys.resource import ResourceKind
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen


class CronJobs:
    """``ResourceKind`` of ``cron:``; states are those of ``file:``."""

    def __init__(self, files: ResourceKind) -> None:
        self._files = files

    def look(self, name: str) -> Seen | None:
        return self._files.look(path_of(name))

    def changed(self, left: Mapping[str, JSON], now: Seen) -> str:
        return self._files.changed(left, now)

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        files = {_as_file(entry).key: entry.key for entry in entries}
        stayed = self._files.remove([_as_file(entry) for entry in entries], purge=purge)
        return {files[key]: reason for key, reason in stayed.items()}

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        self._files.restore(_as_file(entry), image)


def resource_kind(kind: str) -> CronJobs:  # noqa: ARG001 - there is one
    files = resource.resource_kind("file")
    assert files is not None
    return CronJobs(files)


def _as_file(entry: LedgerEntry) -> LedgerEntry:
    return replace(entry, key=f"file:{path_of(entry.name)}")
