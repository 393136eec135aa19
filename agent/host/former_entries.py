"""The ledger as version 0.1.0 kept it: one file for each entry, named by the digest of its key, and one for its image.

The ledger takes the entries over once. The files stay until an update from that version is off trial, and each change
is written to them as well: the version before may come back at any moment, and reads nothing else. Later they are
removed. An old version that comes back then finds one file that it cannot read, and reports its name.
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
"""The file that an older version finds and reports, when the others are removed."""

_TOLD = b'{"told": "the entries of this ledger are in entries.sqlite, which a newer version of the agent reads"}\n'


class FormerEntries:
    """The files of an older version in ``folder``, which is the folder of the ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def are_there(self) -> bool:
        """True as long as the files are kept, because an older version may need them."""
        return bool(self._files())

    def read(self) -> dict[str, LedgerEntry]:
        """The entries by key, without those of files that cannot be read."""
        found = filter(None, map(_read, self._files()))
        return {entry.key: entry for entry in found}

    def image(self, key: str) -> bytes | None:
        try:
            return read_bounded(self._file(key, "before"))
        except FileNotFoundError:
            return None

    def write(self, entries: Mapping[str, LedgerEntry | None], images: Mapping[str, bytes | None]) -> None:
        """Write the entries and images, by key, to their files; remove the file of one that is None. Raises OSError."""
        contents = {self._file(key, "json"): codec.encode(entry) if entry else None for key, entry in entries.items()}
        contents |= {self._file(key, "before"): image for key, image in images.items()}
        if written := {file: content for file, content in contents.items() if content is not None}:
            write_all(self._folder, written)
        for file in contents.keys() - written.keys():
            file.unlink(missing_ok=True)

    def retire(self) -> None:
        """Remove the files, and write ``WORD`` for an older version. Raises OSError."""
        word, files = self._folder / WORD, self._files()
        if not os.path.lexists(word):
            write_atomic(word, _TOLD)
            discard(aside_of(word))
        for file in files:
            file.with_suffix(".before").unlink(missing_ok=True)
            file.unlink(missing_ok=True)

    def are_retired(self) -> bool:
        """True once ``retire`` has written ``WORD``, also if an older version has set it aside since."""
        word = self._folder / WORD
        return os.path.lexists(word) or os.path.lexists(aside_of(word))

    def damaged(self, known: Iterable[str] = ()) -> tuple[str, ...]:
        """The names of files that should be entries and cannot be read, set aside or not. Files whose key is ``known``
        are left out once they are set aside: those keys have entries again."""
        names = {file.name for file in self._files() if _read(file) is None}
        aside = {file.name for file in self._folder.glob(f"*.json{SUFFIX}")} - {f"{WORD}{SUFFIX}"}
        again = {f"{_name(key)}.json{SUFFIX}" for key in known} if aside else set()
        return tuple(sorted(names | (aside - again)))

    def heal(self) -> tuple[SettingsError, ...]:
        """Set aside the files that cannot be read. Return a problem for each."""
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
    """The entry in a file; None if it is damaged, or has the name of another key."""
    try:
        if misplaced_file(file):
            return None
        entry = codec.decode(read_bounded(file), LedgerEntry)
        return entry if adds_up(entry) and file.stem == _name(entry.key) else None
    except (ValueError, OSError):
        return None


def adds_up(entry: LedgerEntry) -> bool:
    """True if the entry agrees with itself: nothing was there before what was created, something before what was
    adopted."""
    return (entry.origin is Origin.CREATED) == (entry.before is None)
