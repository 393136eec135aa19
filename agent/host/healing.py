"""What a host remembers, put right before a cycle counts on it.

What cannot be read is set aside and begun afresh, and named in one report: without it the host is planned as if it had
just been met. Losing it must not make the host act too soon, so two things are made up for:

- without the journal every deploy counts as interrupted: no restart is lost;
- without ``applied.json`` the host counts as in service where anything here still shows that it was: its windows hold.

What was trusted (``trust.json``, the anchors), what a person said (``suspended.json``, ``pinned.json``) and the host's
own key are never set aside: whoever lost them would take too much for granted. They stop the cycle, and say what a
person does. Where ``trust.json`` is gone, the commit applied last takes its place: it was trusted, and nothing older
comes back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.domain.memory import Applied, TrustRecord
from agent.domain.ownership import BOOTSTRAP
from agent.errors import Consequence, SettingsError
from agent.host.baseline import baseline_file
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.system.files import sweep
from agent.system.misplaced import KIND, SUFFIX, aside_of, begun_afresh, misplaced_file, misplaced_folder, set_aside

_WRITTEN_BY_OTHERS = ("suspended.json", "seen.json")
"""`suspend` and `status` do not wait for the lock."""


def heal(paths: Paths, *, memory: Memory, journal: Journal, ledger: Ledger) -> tuple[SettingsError, ...]:
    """What had to be set aside. The caller holds the lock. Raises OSError where the disk does not let it."""
    gone = not os.path.lexists(paths.document("applied"))
    return (
        *_misplaced(paths),
        *memory.heal(),
        *ledger.heal(),
        *_lost(paths, memory, journal, ledger, gone=gone),
        *_forgotten_trust(paths, memory),
    )


def _misplaced(paths: Paths) -> Iterator[SettingsError]:
    """Caches and what lies beside the documents, where something else is in their place."""
    folders = (paths.ledger, paths.commands, paths.spool, paths.commits, paths.repositories, paths.status_repo)
    for folder in folders:
        if wrong := misplaced_folder(folder):
            set_aside(folder)
            yield begun_afresh(folder, f"is {wrong}")
    for folder in (paths.var, paths.ledger, paths.spool, paths.commands, paths.identity):
        sweep(folder, shared=_WRITTEN_BY_OTHERS)
    noted = [file for file in _inside(paths.commands) if file.suffix != SUFFIX]
    for file in (paths.events, paths.sent, paths.seen, paths.rescued, baseline_file(paths), *noted):
        if wrong := misplaced_file(file):
            set_aside(file)
            yield begun_afresh(file, f"is {wrong}")


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _lost(paths: Paths, memory: Memory, journal: Journal, ledger: Ledger, *, gone: bool) -> Iterator[SettingsError]:
    applied = paths.document("applied")
    there = applied.exists()
    served = os.path.lexists(aside_of(applied)) or any(entry.deploy != BOOTSTRAP for entry in ledger.entries())
    if there or served:
        yield from _journal(paths.journal, journal)
    else:
        journal.compact(frozenset())  # it is there from the first day on, so that it is missed
    if not there:
        memory.keep_applied(Applied(served=served))
        if served and gone:
            yield SettingsError(
                f"{applied} is gone, and this host has been in service; it is begun afresh",
                kind=KIND,
                hint="the next cycle is as any other; who removed it?",
                consequence=Consequence.RETRY,
            )


def _forgotten_trust(paths: Paths, memory: Memory) -> Iterator[SettingsError]:
    mark, applied = paths.document("trust"), memory.applied()
    if applied.commit is None or os.path.lexists(mark):
        return
    at = next((adopted.at for adopted in applied.adopted if adopted.sha == applied.commit), 0)
    memory.keep_trust(TrustRecord(applied.commit, at=at))
    yield SettingsError(
        f"{mark} is gone; commit {applied.commit[:12]}, which was applied last, counts as trusted last",
        kind=KIND,
        hint="the next cycle is as any other; who removed it? where a new history is meant: `hostwright trust reset`",
        consequence=Consequence.RETRY,
    )


def _journal(path: Path, journal: Journal) -> Iterator[SettingsError]:
    wrong = journal.damage()
    if not wrong:
        return
    if os.path.lexists(path):
        set_aside(path)
    journal.lose()
    yield begun_afresh(path, wrong, "every deploy counts as cut short once, so that no restart is lost")
