"""The ledger as version 0.1.0 kept it: a file for each entry, called by the digest of its key, and one for its image.

They are taken over once. Until an update from that version has shown that it is well they stay, and follow each change:
the version before may come back at any moment, and reads nothing else. An older version that comes back later finds a
file that it cannot read, and reports its name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.domain import codec
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import SettingsError
from agent.system.files import discard, read_bounded, write_all, write_atomic
from agent.system.misplaced import SUFFIX, aside_of, begun_afresh, misplaced_file, set_aside

WORD = "kept-by-a-newer-version-in-entries.sqlite.json"
"""The file that an older version reports."""

_TOLD = b'{"told": "the entries of this ledger are in entries.sqlite, which a newer version of the agent reads"}\n'


class FormerEntries:
    """``folder`` holds the files, and what else the ledger has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def are_there(self) -> bool:
        """True as long as an older version may need them."""
        return bool(self._files())

    def read(self) -> dict[str, LedgerEntry]:
        """The entries by key; a file that cannot be read is left out."""
        found = filter(None, map(_read, self._files()))
        return {entry.key: entry for entry in found}

    def image(self, key: str) -> bytes | None:
        try:
            return read_bounded(self._file(key, "before"))
        except FileNotFoundError:
            return None

    def write(self, entries: Mapping[str, LedgerEntry | None], images: Mapping[str, bytes | None]) -> None:
        """Makes the files say the same; None: there is no such entry or image any more. Raises OSError."""
        contents = {self._file(key, "json"): codec.encode(entry) if entry else None for key, entry in entries.items()}
        contents |= {self._file(key, "before"): image for key, image in images.items()}
        if written := {file: content for file, content in contents.items() if content is not None}:
            write_all(self._folder, written)
        for file in contents.keys() - written.keys():
            file.unlink(missing_ok=True)

    def leave(self) -> None:
        """Removes them, and leaves word for an older version. Raises OSError."""
        word, files = self._folder / WORD, self._files()
        if not os.path.lexists(word):
            write_atomic(word, _TOLD)
            discard(aside_of(word))
        for file in files:
            file.with_suffix(".before").unlink(missing_ok=True)
            file.unlink(missing_ok=True)

    def left(self) -> bool:
        """True once ``leave`` has left word, also where an older version has set that aside."""
        word = self._folder / WORD
        return os.path.lexists(word) or os.path.lexists(aside_of(word))

    def damaged(self, known: Iterable[str] = ()) -> tuple[str, ...]:
        """Names of the files that should be entries and cannot be read, set aside or not, but for those of keys that
        are ``known`` again."""
        names = {file.name for file in self._files() if _read(file) is None}
        aside = {file.name for file in self._folder.glob(f"*.json{SUFFIX}")} - {f"{WORD}{SUFFIX}"}
        again = {f"{_name(key)}.json{SUFFIX}" for key in known} if aside else set()
        return tuple(sorted(names | (aside - again)))

    def heal(self) -> tuple[SettingsError, ...]:
        """Sets aside the files that cannot be read."""
        files = [self._folder / name for name in self.damaged() if not name.endswith(SUFFIX)]
        for file in files:
            set_aside(file)
        why = "is no entry of the ledger that could be read"
        then = "what it was about stays when it leaves Git; `hostwright uninstall` names it"
        return tuple(begun_afresh(file, why, then) for file in files)

    def was_damaged(self, key: str) -> bool:
        file = self._file(key, "json")
        return os.path.lexists(aside_of(file)) or (os.path.lexists(file) and _read(file) is None)

    def _files(self) -> list[Path]:
        return [file for file in self._folder.glob("*.json") if file.name != WORD]

    def _file(self, key: str, suffix: str) -> Path:
        return self._folder / f"{_name(key)}.{suffix}"


def _name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def _read(file: Path) -> LedgerEntry | None:
    """The entry that a file holds; None for one that is damaged, or lies under another's name."""
    try:
        if misplaced_file(file):
            return None
        entry = codec.decode(read_bounded(file), LedgerEntry)
        return entry if adds_up(entry) and file.stem == _name(entry.key) else None
    except (ValueError, OSError):
        return None


def adds_up(entry: LedgerEntry) -> bool:
    """True where nothing was there before what the agent created, and something before what it adopted."""
    return (entry.origin is Origin.CREATED) == (entry.before is None)
