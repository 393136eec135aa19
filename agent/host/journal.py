"""The journal of deploys that began, and of those that ended well.

A line is written before a deploy may change anything, and another after it ended well. A deploy that began and did not
end well is *interrupted*: it was killed half way, or it failed. Its next run takes every ``did_change`` for true,
because the change that a restart waits for may be on the disk already. A torn last line (power loss) is skipped: the
deploy had not begun, or it had ended and runs once more. If the journal was lost, a line says so: then each deploy
counts as interrupted until it has ended well once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.domain import codec
from agent.system.files import append_durable, read_bounded, write_atomic
from agent.system.misplaced import misplaced_file

_HEADS = (b'{"begin": "', b'{"end": "')
"""The first bytes of the lines that ``begin`` and ``end`` write."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line. ``begin``: the deploy that began, with its ``digest``. ``end``: the deploy that ended well. ``lost``:
    True if everything before is lost."""

    begin: str = ""
    digest: str = ""
    end: str = ""
    lost: bool = False


class Journal:
    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, deploy: str, digest: str) -> None:
        self._append(JournalEntry(deploy, digest))

    def end(self, deploy: str) -> None:
        self._append(JournalEntry(end=deploy))

    def interrupted(self, enforced: Iterable[str] = ()) -> frozenset[str]:
        """The names of the deploys that began and did not end well. Where the journal was lost, also those of
        ``enforced`` that have not ended well since."""
        begun, ended, lost = self._read()
        return frozenset(begun) | (frozenset(enforced) - ended if lost else frozenset())

    def compact(self, wanted: frozenset[str], enforced: Iterable[str] = ()) -> None:
        """Keep the interrupted deploys that are ``wanted``, and forget all others. Called at the end of a cycle.
        ``enforced``: as for ``interrupted``. Raises OSError."""
        begun, _, _ = self._read()
        entries = [begun.get(name, JournalEntry(name)) for name in sorted(self.interrupted(enforced) & wanted)]
        content = b"".join(codec.encode(entry, defaults=False) for entry in entries)
        if misplaced_file(self._path) or self._content() != content:
            write_atomic(self._path, content)

    def damage(self) -> str:
        """The damage of the journal, in words: ``is gone``; empty without any. Raises OSError if the disk fails."""
        if wrong := misplaced_file(self._path):
            return f"is {wrong}"
        try:
            lines = read_bounded(self._path).splitlines()
        except FileNotFoundError:
            return "is gone"
        except OSError as error:
            if error.errno is not None:
                raise
            return "is too large to be one"
        return "" if all(_entry(line) or _is_torn(line) for line in lines) else "holds what nobody wrote there"

    def lose(self) -> None:
        """Write a new journal, which says that everything before is lost. Raises OSError."""
        write_atomic(self._path, codec.encode(JournalEntry(lost=True), defaults=False))

    def _read(self) -> tuple[dict[str, JournalEntry], frozenset[str], bool]:
        """The entries of interrupted deploys by name, the names of those that ended well, and True if the journal was
        lost before."""
        begun: dict[str, JournalEntry] = {}
        ended: set[str] = set()
        lost = False
        for entry in filter(None, map(_entry, (self._content() or b"").splitlines())):
            lost = lost or entry.lost
            if entry.begin:
                begun[entry.begin] = entry
                ended.discard(entry.begin)
            elif entry.end:
                begun.pop(entry.end, None)
                ended.add(entry.end)
        return begun, frozenset(ended), lost

    def _content(self) -> bytes | None:
        """The bytes of the journal; None if it is not there."""
        try:
            return read_bounded(self._path)
        except FileNotFoundError:
            return None

    def _append(self, entry: JournalEntry) -> None:
        # A newline first: behind a torn line, this one would be lost too. Empty lines are skipped on reading.
        append_durable(self._path, b"\n" + codec.encode(entry, defaults=False))


def _entry(line: bytes) -> JournalEntry | None:
    """The entry in a line; None for any other line."""
    try:
        entry = codec.decode(line, JournalEntry)
    except ValueError:
        return None
    return entry if entry.begin or entry.end or entry.lost else None


def _is_torn(line: bytes) -> bool:
    """True for the beginning of an entry, and for zeros alone: a power loss leaves either."""
    return not line.strip(b"\0") or any(line.startswith(head[: len(line)]) for head in _HEADS)
