"""The journal: which deploys began and did not end well.

A line is written before a deploy may change anything, and another after it ended well. What has begun and not ended
is *interrupted*: killed half way, or failed. Its next run counts every ``did_change`` as true, because the change a
restart waits for may already be on the disk. A torn last line (power loss) is skipped: what it would have said had
not happened yet, or happened and is only done once more.
"""

from __future__ import annotations

import json
from pathlib import Path

from agent.system.files import append_durable, read_bounded, write_atomic


class Journal:
    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, deploy: str, digest: str) -> None:
        self._append({"begin": deploy, "digest": digest})

    def end(self, deploy: str) -> None:
        self._append({"end": deploy})

    def interrupted(self) -> frozenset[str]:
        """The names of deploys that began and did not end well."""
        return frozenset(self._open())

    def compact(self, wanted: frozenset[str]) -> None:
        """Forgets what has ended, and deploys that nobody wants any more. Called at the end of a cycle."""
        lines = [json.dumps(entry) for name, entry in self._open().items() if name in wanted]
        write_atomic(self._path, "".join(f"{line}\n" for line in lines).encode())

    def _open(self) -> dict[str, dict[str, str]]:
        begun: dict[str, dict[str, str]] = {}
        try:
            data = read_bounded(self._path)
        except FileNotFoundError:
            return begun
        for line in data.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if not isinstance(entry, dict):
                continue
            if isinstance(entry.get("begin"), str):
                begun[entry["begin"]] = entry
            elif isinstance(entry.get("end"), str):
                begun.pop(entry["end"], None)
        return begun

    def _append(self, entry: dict[str, str]) -> None:
        # A newline first: behind a torn line this one would be lost with it. Empty lines are skipped on reading.
        append_durable(self._path, b"\n" + json.dumps(entry).encode() + b"\n")
