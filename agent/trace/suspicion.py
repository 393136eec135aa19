"""The changes for which the daemon started a cycle: a file in /run/hostwright, for ``steps.evidence``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.trace.rest import opened, replaced

CHANGES_MOST = 20
"""The most changes that are kept: the first ones are enough to find who changes a thousand files."""


class Suspicion:
    """The ``changes`` that the daemon saw: subjects of questions, each with its new answer. They happened between
    ``since``, when all answers were the old ones, and ``at`` (seconds since the epoch)."""

    def __init__(self, since: float, at: float, changes: Sequence[tuple[str, str]]) -> None:
        self.since = since
        self.at = at
        self.changes = tuple((str(subject), str(answer)) for subject, answer in changes)


def write(path: Path, suspicion: Suspicion) -> None:
    """Replace the file. Raises OSError."""
    replaced(path, json.dumps(vars(suspicion)).encode())


def read(path: Path) -> Suspicion | None:
    """The suspicion in the file; None where there is no file, or none of this form."""
    with suppress(OSError, ValueError, TypeError), opened(path) as file:
        return Suspicion(**json.loads(file.read()))
    return None
