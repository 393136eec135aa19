"""The ledger: what the agent created or adopted on the host, what was there before, and what it left there.

An entry is written, durably, before the first change of a resource; what was found then stands for good. Of a file it
keeps the content as a before-image. Entries are files named by the digest of the resource's key; nothing in here is
named by what an inventory says. Who looks at the host is told in ``agent.deploys.resource``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.domain import codec
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Origin, Seen, Standing, unseen
from agent.errors import SettingsError
from agent.system.files import make_private_folder, read_bounded, write_all, write_atomic
from agent.system.misplaced import SUFFIX, aside_of, begun_afresh, misplaced_file, set_aside

IMAGE_LIMIT = 1024 * 1024
"""Bytes of a before-image; configuration is smaller, and /var is not a backup medium."""

FEW = 50
"""Files that are quicker synced one by one: syncing all at once waits for whatever else the host is writing."""


class Ledger:
    """Only the holder of the lock writes. What is written raises OSError when the disk does not take it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, LedgerEntry] | None = None
        self._waiting: dict[Path, bytes] | None = None

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, sorted by key; a file that cannot be read is skipped (its before-image stays where it is)."""
        return tuple(sorted(self._entries.values(), key=lambda entry: entry.key))

    def damaged(self) -> tuple[str, ...]:
        """Names of the files that should be entries and cannot be read, set aside or not: nobody knows of what they
        are."""
        whole = {self._file(key).name for key in self._entries}
        found = (*self._folder.glob("*.json"), *self._folder.glob(f"*.json{SUFFIX}"))
        return tuple(sorted(file.name for file in found if file.name.removesuffix(SUFFIX) not in whole))

    def heal(self) -> tuple[SettingsError, ...]:
        """Sets aside what lies in the place of entries and cannot be read as one. Their resources are never taken for
        created."""
        files = [self._folder / name for name in self.damaged() if not name.endswith(SUFFIX)]
        for file in files:
            set_aside(file)
        why = "is no entry of the ledger that could be read"
        then = "what it was about stays when it leaves Git; `hostwright uninstall` names it"
        return tuple(begun_afresh(file, why, then) for file in files)

    def entry(self, key: str) -> LedgerEntry | None:
        return self._entries.get(key)

    def image(self, key: str) -> bytes | None:
        """The content that it had before its first change; None where there was none, it was too large, or what is
        there is not that content."""
        known = self.entry(key)
        before = known.before if known is not None else None
        if before is None:
            return None
        try:
            found = read_bounded(_image(self._file(key)))
        except FileNotFoundError:
            return None
        digest = before.get("sha256")
        return found if digest is None or digest == hashlib.sha256(found).hexdigest() else None

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
        """A resource is about to be changed. The first time ``seen`` is what is there, None for nothing; later what
        was seen then stands, and only what the change leaves is open again. What was let go and comes back begins
        anew with ``seen``, unless it still is as the agent left it.

        What nobody could look at is handed in as ``unseen``. An entry that was damaged begins anew as one of those:
        it is never taken for created. When this raises, the change must not happen.
        """
        known = self.entry(key)
        if known is not None and (known.standing is Standing.OWNED or known.is_as_left(seen)):
            again = replace(known, deploy=_whose(known, deploy), standing=Standing.OWNED, reason="")
            self._keep(replace(again, reloads=reloads, settled=False, owed=owed))
            return
        if known is None and self._was_damaged(key):
            seen = unseen("its entry in the ledger was damaged")
        elif seen is not None and seen.image is not None and len(seen.image) <= IMAGE_LIMIT:
            self._write(_image(self._file(key)), seen.image)
        else:
            self._drop(_image(self._file(key)))  # of one whose entry was gone before it
        origin = Origin.CREATED if seen is None else Origin.ADOPTED
        before = seen.state if seen is not None else None
        self._keep(LedgerEntry(key, deploy, now, origin, before, reloads=reloads, owed=owed and seen is not None))

    def succeed(self, key: str, old: LedgerEntry, deploy: str, reloads: tuple[str, ...] = ()) -> None:
        """The same for what takes the place of ``old``, such as a folder that of a file: what was there before the
        agent is what was there before that."""
        image = self.image(old.key)
        if image is not None:
            self._write(_image(self._file(key)), image)
        self._keep(replace(old, key=key, deploy=deploy, reloads=reloads, left=None, settled=False))

    def settle(self, key: str, seen: Seen | None) -> None:
        """What a change has left there, None for nothing: then nothing is owed any more."""
        known = self.entry(key)
        owed = known is not None and known.owed and seen is not None
        self._change(key, left=seen.state if seen is not None else None, settled=True, owed=owed)

    def own(self, key: str, deploy: str, reloads: tuple[str, ...] = ()) -> None:
        """``deploy`` wants it: for the first time, instead of another, or again."""
        known = self.entry(key)
        if known is not None:
            whose = _whose(known, deploy)
            self._change(key, deploy=whose, standing=Standing.OWNED, reason="", reloads=reloads)

    def release(self, key: str) -> None:
        self._change(key, standing=Standing.RELEASED)

    def orphan(self, key: str, reason: str) -> None:
        self._change(key, standing=Standing.ORPHANED, reason=reason)

    def refuse(self, key: str, reason: str) -> None:
        """It was to be removed, and could not be; it stays to be removed."""
        self._change(key, reason=reason)

    def forget(self, key: str) -> None:
        """It is gone, or nothing ever happened to it. The image goes first: none is ever left without its entry."""
        self._entries.pop(key, None)
        self._drop(_image(self._file(key)))
        self._drop(self._file(key))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is on the disk when this is left without an exception, and synced once for all of
        it: a thousand entries in the time of a few."""
        self._waiting = {}
        try:
            yield
            if len(self._waiting) > FEW:
                write_all(self._folder, self._waiting)
            else:
                for file, data in self._waiting.items():
                    write_atomic(file, data)
        except BaseException:
            self._known = None
            raise
        finally:
            self._waiting = None

    @property
    def _entries(self) -> dict[str, LedgerEntry]:
        if self._known is None:
            found = (_read(file) for file in self._folder.glob("*.json"))
            self._known = {entry.key: entry for entry in found if entry is not None}
        return self._known

    def _was_damaged(self, key: str) -> bool:
        file = self._file(key)
        return os.path.lexists(file) or os.path.lexists(aside_of(file))

    def _change(self, key: str, **changed: Any) -> None:
        known = self.entry(key)
        if known is not None and (after := replace(known, **changed)) != known:
            self._keep(after)

    def _keep(self, entry: LedgerEntry) -> None:
        self._write(self._file(entry.key), codec.encode(entry))
        self._entries[entry.key] = entry

    def _write(self, file: Path, data: bytes) -> None:
        make_private_folder(self._folder)
        if self._waiting is None:
            write_atomic(file, data)
        else:
            self._waiting[file] = data

    def _drop(self, file: Path) -> None:
        if self._waiting is not None:
            self._waiting.pop(file, None)
        file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{_name(key)}.json"


def _whose(known: LedgerEntry, deploy: str) -> str:
    """What the agent itself needs stays bootstrap's, whoever wants it too: it must not go with that deploy."""
    return BOOTSTRAP if known.deploy == BOOTSTRAP else deploy


def _image(file: Path) -> Path:
    """Where the before-image of an entry lies."""
    return file.with_suffix(".before")


def _name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def _read(file: Path) -> LedgerEntry | None:
    """The entry that a file holds; None for one that is damaged, or lies under another's name."""
    try:
        if misplaced_file(file):
            return None
        entry = codec.decode(read_bounded(file), LedgerEntry)
    except (ValueError, OSError):
        return None
    origin = (entry.origin is Origin.CREATED) == (entry.before is None)
    return entry if origin and file.stem == _name(entry.key) else None
