"""The documents that a host keeps between cycles: values of ``domain.memory``, each file written whole or not at all.

Standard library only: the daemon reads them too, and it is to stay small. Only the holder of the lock writes.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from agent.domain.memory import Applied, Document, State, Suspension, TrustRecord
from agent.errors import SettingsError
from agent.host.paths import Paths
from agent.system.files import read_bounded, write_atomic

ADOPTED_KEPT = 20
"""Commits of which the report says when they were reached."""


class Memory:
    """The documents of one host."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def trust(self) -> TrustRecord:
        return TrustRecord.from_json(self._read("trust") or {})

    def applied(self) -> Applied:
        return Applied.from_json(self._read("applied") or {})

    def state(self) -> State:
        return State.from_json(self._read("state") or {})

    def suspension(self, now: int) -> Suspension | None:
        """What a person said with ``hostwright suspend``; None when nothing, or when its time is over."""
        data = self._read("suspended")
        if data is None:
            return None
        suspension = Suspension.from_json(data)
        return suspension if suspension.holds(now) else None

    def keep_trust(self, record: TrustRecord) -> None:
        self._write("trust", record)

    def keep_applied(self, applied: Applied) -> None:
        self._write("applied", dataclasses.replace(applied, adopted=applied.adopted[-ADOPTED_KEPT:]))

    def keep_state(self, state: State) -> None:
        self._write("state", state)

    def keep_suspension(self, suspension: Suspension | None) -> None:
        if suspension is None:
            self._paths.document("suspended").unlink(missing_ok=True)
        else:
            self._write("suspended", suspension)

    def _write(self, name: str, document: Document) -> None:
        text = json.dumps(document.as_json(), indent=1, sort_keys=True)
        write_atomic(self._paths.document(name), text.encode() + b"\n")

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._paths.document(name)
        try:
            data = json.loads(read_bounded(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _unreadable(path, f"{error}") from error
        if not isinstance(data, dict):
            raise _unreadable(path, "it does not hold a JSON object")
        return data


def _unreadable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"{path} cannot be read: {why}",
        kind="state-corrupt",
        hint=f"move it away (mv {path} {path}.corrupt) and run `hostwright apply`: the host is planned afresh",
    )
