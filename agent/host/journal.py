"""The journal: which deploys began and did not end well.

A line is written before a deploy may change anything, and another after it ended well. What has begun and not ended
is *interrupted*: killed half way, or failed. Its next run counts every ``did_change`` as true, because the change a
restart waits for may already be on the disk. A torn last line (power loss) is skipped: what it would have said had
not happened yet, or happened and is only done once more. A journal that was lost says so: then everything is
interrupted until it has ended well once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from agent.system.files import append_durable, read_bounded, write_atomic
from agent.system.misplaced import misplaced_file

_LOST = {"lost": True}
_KEYS = ("begin", "end")
_HEADS = tuple(f'{{"{key}": "'.encode() for key in _KEYS)
"""How each entry begins."""


class Journal:
    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, deploy: str, digest: str) -> None:
        self._append({"begin": deploy, "digest": digest})

    def end(self, deploy: str) -> None:
        self._append({"end": deploy})

    def interrupted(self, enforced: Iterable[str] = ()) -> frozenset[str]:
        """The names of deploys that began and did not end well. Where the journal was lost, these are all of
        ``enforced`` that have not ended well since."""
        begun, ended, lost = self._read()
        return frozenset(begun) | (frozenset(enforced) - ended if lost else frozenset())

    def compact(self, wanted: frozenset[str], enforced: Iterable[str] = ()) -> None:
        """Forgets what has ended, and deploys that nobody wants any more. Called at the end of a cycle."""
        begun, _, _ = self._read()
        entries = [begun.get(name, {"begin": name}) for name in sorted(self.interrupted(enforced) & wanted)]
        write_atomic(self._path, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode())

    def damage(self) -> str:
        """The reason not to believe the journal, in words; empty without one."""
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
        return "" if all(_is_entry(line) or _is_torn(line) for line in lines) else "holds what nobody wrote there"

    def lose(self) -> None:
        """Nobody knows any more what has begun."""
        write_atomic(self._path, json.dumps(_LOST).encode() + b"\n")

    def _read(self) -> tuple[dict[str, dict[str, str]], frozenset[str], bool]:
        """The entries that have begun and not ended, the names that have ended, and True if others were lost."""
        begun: dict[str, dict[str, str]] = {}
        ended: set[str] = set()
        lost = False
        try:
            data = read_bounded(self._path)
        except FileNotFoundError:
            data = b""
        for line in data.splitlines():
            if not _is_entry(line):
                continue
            entry = json.loads(line)
            lost = lost or entry == _LOST
            if "begin" in entry:
                begun[entry["begin"]] = entry
                ended.discard(entry["begin"])
            elif "end" in entry:
                begun.pop(entry["end"], None)
                ended.add(entry["end"])
        return begun, frozenset(ended), lost

    def _append(self, entry: dict[str, str]) -> None:
        # A newline first: behind a torn line this one would be lost with it. Empty lines are skipped on reading.
        append_durable(self._path, b"\n" + json.dumps(entry).encode() + b"\n")


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return entry == _LOST or (isinstance(entry, dict) and any(isinstance(entry.get(key), str) for key in _KEYS))


def _is_torn(line: bytes) -> bool:
    """True for the beginning of an entry, or the empty space that a power loss left in its place."""
    return not line.strip(b"\0") or any(line.startswith(head[: len(line)]) for head in _HEADS)
