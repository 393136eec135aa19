"""The ledger: what the agent created or adopted on the host, what was there before, and what it left there.

An entry is written, durably, before the first change of a resource. The state found then is never replaced; for a file,
its content is kept as the before-image. All entries lie in one database: a thousand of them are one transaction, and a
reader without the lock sees all of a transaction or nothing. ``agent.deploys.kind`` says how a resource is looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.domain import codec
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Origin, Seen, Standing, unseen
from agent.errors import Consequence, SettingsError
from agent.host.former_entries import FormerEntries, adds_up
from agent.problems import ProblemKind
from agent.system.database import DamagedDatabase, Database, Row
from agent.system.misplaced import begun_afresh

IMAGE_LIMIT = 1024 * 1024
"""Bytes of a before-image. Configuration is smaller, and the ledger is no backup of other files."""

_KEY = "key blob primary key check (typeof(key) = 'blob')"

_SCHEMA = (
    f"CREATE TABLE entry ({_KEY}, document blob not null check (typeof(document) = 'blob')) without rowid",
    f"CREATE TABLE image ({_KEY}, content blob not null check (typeof(content) = 'blob'))",
    f"CREATE TABLE lost ({_KEY}) without rowid",
)
"""``entry``: LedgerEntry as JSON, by key. ``image``: before-images. ``lost``: the keys of entries that were damaged."""


@dataclass(slots=True)
class _Changes:
    """The entries and images that a transaction is to write, by key; None for those to remove."""

    entries: dict[str, LedgerEntry | None] = field(default_factory=dict)
    images: dict[str, bytes | None] = field(default_factory=dict)


class Ledger:
    """The ledger of one host. Only the holder of the lock may write. Every method that writes raises OSError if the
    disk does not take it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = Database(folder / "entries.sqlite", _SCHEMA)
        self._former = FormerEntries(folder)
        self._known: dict[str, LedgerEntry] | None = None
        self._sorted: tuple[LedgerEntry, ...] | None = None
        """The value of ``entries``; None after a change."""
        self._lost: set[str] = set()
        """Keys of entries that were damaged."""
        self._broken: set[str] = set()
        """Keys of damaged entries that are still in the table ``entry``."""
        self._moving: dict[str, LedgerEntry] = {}
        """Entries in the files of an older version that the database does not have yet, or has in an older form."""
        self._waiting: _Changes | None = None

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries that can be read, sorted by key."""
        known = self._entries
        if self._sorted is None:
            self._sorted = tuple(known[key] for key in sorted(known))
        return self._sorted

    def damaged(self) -> tuple[str, ...]:
        """The keys of entries that could not be read, and the names of an older version's files that could not be read:
        nobody knows the keys of these."""
        known = self._entries
        return (*sorted(self._lost | self._broken), *self._former.damaged(known))

    def heal(
        self, applied: Callable[[], Collection[str]] = tuple, *, on_trial: bool = False
    ) -> tuple[SettingsError, ...]:
        """Set aside what cannot be read, take over the files of an older version, and return the problems to report.

        A resource whose entry was lost is never taken for created by the agent. If the lost keys are not known, they
        are those of the ``applied`` resources that have no entry. ``on_trial``: True if the version before this one may
        come back, so that its files have to stay."""
        told = self._former.heal()
        if why := self._database.damage() or self._loss(applied):
            told = (*told, self._begin_afresh(why, applied()))
        self._known, self._sorted = self._read(), None
        if self._broken or self._moving or not self._database.path.exists():  # written now, so that a loss is noticed
            told = (*told, *(_unreadable(self._database.path, key) for key in sorted(self._broken)))
            self._write(_Changes())
        if not on_trial:
            self._former.retire()
        return told

    def entry(self, key: str) -> LedgerEntry | None:
        return self._entries.get(key)

    def image(self, key: str) -> bytes | None:
        """The content of a resource before the agent's first change; None if it had none, or too much, or the image is
        damaged."""
        known = self.entry(key)
        before = known.before if known is not None else None
        if before is None:
            return None
        found = self._image(key)
        digest = before.get("sha256")
        return found if digest is None or found is None or digest == hashlib.sha256(found).hexdigest() else None

    def record(
        self,
        key: str,
        deploy: str,
        now: int,
        seen: Seen | None,
        reloads: tuple[str, ...] = (),
        *,
        owed: bool = False,
    ) -> None:
        """Record that a resource is about to be changed. If this raises, the change must not happen.

        The first call stores ``seen`` as the state before the agent (None: there is nothing). Later calls keep that,
        and mark the entry unsettled. A resource that was released or orphaned, and is wanted again, begins anew with
        ``seen``, unless it still is as the agent left it. ``seen`` is ``unseen(…)`` for a resource that nobody could
        look at. A damaged entry begins anew with that too, so that the resource is never taken for created.
        """
        known = self.entry(key)
        if known is not None and (known.standing is Standing.OWNED or known.is_as_left(seen)):
            again = replace(known, deploy=_whose(known, deploy), standing=Standing.OWNED, reason="")
            self._keep(replace(again, reloads=reloads, settled=False, owed=owed))
            return
        if known is None and (key in self._lost | self._broken or self._former.was_damaged(key)):
            seen = unseen("its entry in the ledger was damaged")
        origin = Origin.CREATED if seen is None else Origin.ADOPTED
        before = seen.state if seen is not None else None
        image = seen.image if seen is not None and len(seen.image or b"") <= IMAGE_LIMIT else None
        entry = LedgerEntry(key, deploy, now, origin, before, reloads=reloads, owed=owed and seen is not None)
        with self.together() as changes:
            changes.images[key] = image  # None removes the image of an earlier entry
            self._keep(entry)

    def succeed(self, key: str, old: LedgerEntry, deploy: str, reloads: tuple[str, ...]) -> None:
        """Record a resource that takes the place of ``old``, such as a folder in the place of a file. The state before
        the agent is that of ``old``."""
        with self.together() as changes:
            changes.images[key] = self.image(old.key)
            self._keep(replace(old, key=key, deploy=deploy, reloads=reloads, left=None, settled=False))

    def settle(self, key: str, seen: Seen | None) -> None:
        """Record the state in which a change left a resource. None: it is gone, so that no removal is owed any more."""
        known = self.entry(key)
        owed = known is not None and known.owed and seen is not None
        self._change(key, left=seen.state if seen is not None else None, settled=True, owed=owed)

    def own(self, key: str, deploy: str, reloads: tuple[str, ...] = ()) -> None:
        """Record that ``deploy`` wants the resource, for the first time, instead of another deploy, or again."""
        known = self.entry(key)
        if known is not None:
            own = (_whose(known, deploy), Standing.OWNED, "", reloads)
            if own != (known.deploy, known.standing, known.reason, known.reloads):
                self._change(key, **dict(zip(("deploy", "standing", "reason", "reloads"), own, strict=True)))

    def release(self, key: str) -> None:
        self._change(key, standing=Standing.RELEASED)

    def orphan(self, key: str, reason: str) -> None:
        self._change(key, standing=Standing.ORPHANED, reason=reason)

    def refuse(self, key: str, reason: str) -> None:
        """Record why a resource could not be removed. It is still to be removed."""
        self._change(key, reason=reason)

    def forget(self, key: str) -> None:
        """Remove the entry of a resource that is gone, or that was never changed."""
        if self._entries.pop(key, None) is not None:
            self._sorted = None
            with self.together() as changes:
                changes.entries[key] = changes.images[key] = None

    @contextmanager
    def together(self) -> Iterator[_Changes]:
        """A context whose writes are one transaction: on the disk when it ends, and none of them after an exception. A
        context inside another one is a part of that."""
        if self._waiting is not None:
            yield self._waiting
            return
        self._waiting = _Changes()
        try:
            yield self._waiting
            if self._waiting.entries:
                self._write(self._waiting)
        except BaseException:
            self._known = self._sorted = None
            raise
        finally:
            self._waiting = None

    @property
    def _entries(self) -> dict[str, LedgerEntry]:
        if self._known is None:
            self._known, self._sorted = self._read(), None
        return self._known

    def _read(self) -> dict[str, LedgerEntry]:
        files = self._former.read()  # before the database: they are removed once it has all of them
        try:
            rows = self._database.rows("select key, document from entry")
            lost = self._database.rows("select key from lost")
        except DamagedDatabase:
            (rows, _), (lost, _) = self._salvaged("entry"), self._salvaged("lost")
        known, named = {}, set()
        for raw, document in rows:
            key, entry = _key(raw), _entry(document)
            if entry is not None and key == entry.key and adds_up(entry):
                known[key] = entry
            else:  # where the row has one key and its entry another, nobody knows which is right
                named |= {key, entry.key} if entry is not None else {key}
        self._lost, self._broken = {_key(raw) for (raw,) in lost}, named - known.keys()
        # The state found first stands. All else is newer in the files, if an older version came back meanwhile.
        former = {key: _since(known.get(key), entry) for key, entry in files.items()}
        self._moving = {key: entry for key, entry in former.items() if known.get(key) != entry}
        return {**known, **former} if former else known

    def _salvaged(self, table: str) -> tuple[list[Row], bool]:
        try:
            return self._database.salvaged(table)
        except OSError:
            return [], False

    def _loss(self, applied: Callable[[], Collection[str]]) -> str:
        """``is gone`` if the database is missing and was there before; else empty. It was there if the files of an
        older version were removed, or if the host applied something and has no such files."""
        if os.path.lexists(self._database.path):
            return ""
        return "is gone" if self._former.are_retired() or (not self._former.are_there() and applied()) else ""

    def _begin_afresh(self, why: str, applied: Collection[str]) -> SettingsError:
        """Make a new database with all that can still be read of a damaged one. Return the problem to report."""
        (entries, whole), (images, _), (lost, _) = map(self._salvaged, ("entry", "image", "lost"))
        whole = whole and self._database.path.exists() and None not in [_entry(document) for _, document in entries]
        gone = set() if whole else {_raw(key) for key in applied} - {raw for raw, _ in entries}
        self._database.begin_afresh(
            [
                ("insert into entry values (?, ?)", entries),
                ("insert into image values (?, ?)", images),
                ("insert or ignore into lost values (?)", [*lost, *((raw,) for raw in gone)]),
            ]
        )
        then = f"{len(entries)} entries could be read and are kept; what others were about stays when it leaves Git"
        return begun_afresh(self._database.path, why, then)

    def _image(self, key: str) -> bytes | None:
        if self._waiting is not None and key in self._waiting.images:
            return self._waiting.images[key]
        for (content,) in self._database.rows("select content from image where key = ?", (_raw(key),)):
            return bytes(content)
        return self._former.image(key)

    def _change(self, key: str, **changed: Any) -> None:
        known = self.entry(key)
        if known is not None and any(getattr(known, name) != value for name, value in changed.items()):
            self._keep(replace(known, **changed))

    def _keep(self, entry: LedgerEntry) -> None:
        with self.together() as changes:
            changes.entries[entry.key] = entry
            self._entries[entry.key], self._sorted = entry, None

    def _write(self, changes: _Changes) -> None:
        """Write ``changes`` in one transaction. The files of an older version, if they are still needed, are written
        first: after a cut between the two, ``_read`` takes them for newer."""
        if self._former.are_there():
            self._former.write(changes.entries, changes.images)
        entries = self._moving | changes.entries
        kept = {key: codec.encode(entry, defaults=False) for key, entry in entries.items() if entry is not None}
        going = self._broken | (entries.keys() - kept.keys())
        moving = {key: image for key in self._moving if (image := self._former.image(key)) is not None}
        images = {key: image for key, image in changes.images.items() if image is not None}
        self._database.write(
            [
                ("delete from entry where key = ?", _rows(going)),
                ("insert or replace into entry values (?, ?)", _rows(kept, kept)),
                ("delete from image where key = ?", _rows(changes.images)),
                ("insert or replace into image values (?, ?)", _rows(images, images)),
                ("insert or ignore into image values (?, ?)", _rows(moving.keys() - changes.images.keys(), moving)),
                ("insert or ignore into lost values (?)", _rows(self._broken - kept.keys())),
                ("delete from lost where key = ?", _rows(self._lost & kept.keys())),
            ]
        )
        self._lost, self._broken, self._moving = (self._lost | self._broken) - kept.keys(), set(), {}


def _rows(keys: Iterable[str], values: Mapping[str, bytes] | None = None) -> list[Row]:
    return [(_raw(key),) if values is None else (_raw(key), values[key]) for key in keys]


def _whose(known: LedgerEntry, deploy: str) -> str:
    """The deploy of an entry that ``deploy`` wants: BOOTSTRAP for what the agent itself needs, which must not be
    removed with that deploy; else ``deploy``."""
    return BOOTSTRAP if known.deploy == BOOTSTRAP else deploy


def _since(kept: LedgerEntry | None, newer: LedgerEntry) -> LedgerEntry:
    return newer if kept is None else replace(newer, at=kept.at, origin=kept.origin, before=kept.before)


def _entry(document: bytes) -> LedgerEntry | None:
    """The entry in a row; None for one that cannot be read."""
    try:
        entry = codec.decode(document, LedgerEntry)
        _raw(entry.key)
    except ValueError:
        return None
    return entry


def _unreadable(path: Path, key: str) -> SettingsError:
    return SettingsError(
        f"{path}: the entry of {key} cannot be read and was set aside",
        kind=ProblemKind.STATE_CORRUPT,
        hint="it stays when it leaves Git; `hostwright uninstall` names it; is the disk failing (`dmesg`)?",
        consequence=Consequence.RETRY,
    )


def _raw(key: str) -> bytes:
    """A key as it stands in the tables: bytes, because some names are not UTF-8."""
    return key.encode(errors="surrogateescape")


def _key(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
