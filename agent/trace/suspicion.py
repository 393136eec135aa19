"""What the daemon saw change before it started a cycle: a file in /run/hostwright, for ``steps.evidence``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.trace.rest import opened, replaced

CHANGES_MOST = 20
"""Answers that are told; who changes a thousand files is found by the first."""


class Suspicion:
    """``changes``: the subject of a question, and its answer now. They came about between ``since``, when all was as
    before, and ``at`` (seconds since the epoch)."""

    def __init__(self, since: float, at: float, changes: Sequence[tuple[str, str]]) -> None:
        self.since = since
        self.at = at
        self.changes = tuple((str(subject), str(answer)) for subject, answer in changes)


def write(path: Path, suspicion: Suspicion) -> None:
    """Raises OSError."""
    replaced(path, json.dumps(vars(suspicion)).encode())


def read(path: Path) -> Suspicion | None:
    """None where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError), opened(path) as file:
        return Suspicion(**json.loads(file.read()))
    return None
