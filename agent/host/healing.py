"""Repair of the host's memory, before a cycle relies on it.

A file that cannot be read is set aside and begun afresh, and one report names it. The host is planned without it, as if
the agent were new there. A loss must not make the agent act too soon, so it makes up for two of them:

- Without the journal every deploy counts as interrupted, so that no restart is lost.
- Without ``applied.json`` the host counts as in service if anything else shows that it was, so that its windows hold.

Some files are never set aside, because without them the agent would do too much: ``trust.json``, the anchors,
``suspended.json``, ``pinned.json`` and the host's own key. Damage to one stops the cycle, with an error that says what
to do. If ``trust.json`` is gone, the newest commit that any other file names takes its place: it was trusted, and
nothing older can come back. If no file names one, and the host was in service, a person has to say which one it was.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from agent.domain.event import EventKind
from agent.domain.memory import Applied, TrustRecord
from agent.domain.ownership import BOOTSTRAP
from agent.errors import Consequence, SettingsError
from agent.host.baseline import baseline_file
from agent.host.events import Events
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.system.files import read_bounded, sweep
from agent.system.git_incoming import tip_of
from agent.system.misplaced import SUFFIX, aside_of, begun_afresh, misplaced_file, misplaced_folder, set_aside

_SHA: Final = re.compile(r"[0-9a-f]{40}")
_OF_WORK: Final = (EventKind.APPLIED, EventKind.ADOPTED, EventKind.DRIFT_REPAIRED, EventKind.TAKEN_BACK)
EVENTS_ASKED: Final = 1000
_WRITTEN_BY_OTHERS = ("suspended.json", "seen.json")
"""Documents that `suspend` and `status` write without the lock."""


def heal(paths: Paths, *, memory: Memory, journal: Journal, ledger: Ledger) -> tuple[SettingsError, ...]:
    """Set aside the files that cannot be read, and return the problems to report. The caller holds the lock. Raises
    OSError if the disk refuses."""
    gone = not os.path.lexists(paths.document("applied"))
    return (
        *_misplaced(paths),
        *memory.heal(),
        *ledger.heal(partial(_applied, memory), on_trial=os.path.lexists(paths.previous)),
        *_lost(paths, memory, journal, ledger, gone=gone),
        *_forgotten_trust(paths, memory, ledger),
    )


def _applied(memory: Memory) -> set[str]:
    """The keys of the resources that were applied, as far as the host remembers."""
    deploys = memory.applied().deploys.values()
    return {key for deploy in deploys for key in (*deploy.resources, *deploy.owned)}


def _misplaced(paths: Paths) -> Iterator[SettingsError]:
    """Set aside whatever is in the place of a cache, or of a file beside the documents, and is none. Remove what killed
    processes left half-written."""
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
        journal.compact(frozenset())  # written on the first day already, so that a later loss is noticed
    if not there:
        memory.keep_applied(Applied(served=served))
        if served and gone:
            yield SettingsError(
                f"{applied} is gone, and this host has been in service; it is begun afresh",
                kind=ProblemKind.STATE_CORRUPT,
                hint="the next cycle is as any other; who removed it?",
                consequence=Consequence.RETRY,
            )


def _forgotten_trust(paths: Paths, memory: Memory, ledger: Ledger) -> Iterator[SettingsError]:
    """Write ``trust.json`` anew if it is gone, with the newest commit that any other file names as trusted. If no file
    names one, and the host was in service, write down that the record is lost."""
    mark = paths.document("trust")
    if os.path.lexists(mark):
        return
    applied = memory.applied()
    commit = next(_once_trusted(paths, memory, applied), None)
    if commit is not None:
        at = next((adopted.at for adopted in applied.adopted if adopted.sha == commit), 0)
        memory.keep_trust(TrustRecord(commit, at=at))
        yield SettingsError(
            f"{mark} is gone; commit {commit[:12]}, the newest that this host knows of, counts as trusted last",
            kind=ProblemKind.STATE_CORRUPT,
            hint="the next cycle is as any other; who removed it? where a new history is meant: hostwright trust reset",
            consequence=Consequence.RETRY,
        )
    elif applied.served or memory.bad() or _worked(ledger, Events(paths.events)):
        memory.keep_trust(TrustRecord(lost=True))


def _worked(ledger: Ledger, events: Events) -> bool:
    """True if the agent changed this host before, which it does only for a trusted commit."""
    owned = any(entry.deploy != BOOTSTRAP for entry in ledger.entries())
    return owned or any(event.kind in _OF_WORK for event in events.last(EVENTS_ASKED))


def _once_trusted(paths: Paths, memory: Memory, applied: Applied) -> Iterator[str]:
    """The commits that this host has trusted, as other files name them, those that are likely newer first."""
    pinned, trial = None, memory.trial()
    with suppress(SettingsError):  # pinned.json is never set aside, so it may be damaged
        pinned = memory.pinned(0)
    found = (
        tip_of(paths.mirror),
        _reported(paths.sent),
        applied.commit,
        memory.state().aimed_commit,
        trial.commit if trial is not None else None,
        applied.good_commit,
        pinned.commit if pinned is not None else None,
        *(path.name for path in _inside(paths.commits)),
    )
    yield from (sha for sha in found if sha is not None and _SHA.fullmatch(sha))


def _reported(sent: Path) -> str | None:
    """The trusted commit in the last report that arrived; None without one that can be read."""
    try:
        said = json.loads(read_bounded(sent))["commits"]["trusted"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return said if isinstance(said, str) else None


def _journal(path: Path, journal: Journal) -> Iterator[SettingsError]:
    wrong = journal.damage()
    if not wrong:
        return
    if os.path.lexists(path):
        set_aside(path)
    journal.lose()
    yield begun_afresh(path, wrong, "every deploy counts as cut short once, so that no restart is lost")
