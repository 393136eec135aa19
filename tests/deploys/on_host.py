"""A booted host that takes one built-in deploy at a time, through the real engine (``driver.py`` runs there)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host import Host

PYTHON = "/opt/hostwright/current/bin/python"
DRIVER = "/root/driver.py"
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Told:
    """What the engine said: the wanted changes as ``resource | operation``, and how those that ran ended."""

    status: str
    error: str
    changes: tuple[str, ...]
    diffs: Mapping[str, str]
    succeeded: tuple[str, ...]
    failed: Mapping[str, str]
    left: tuple[str, ...]
    """What a plan right after wants, and complains of."""


class Deploys:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.pins: list[Any] = []
        """The tools of lock.yaml, as ``ToolPin`` has them."""
        host.push(Path(__file__).with_name("driver.py"), DRIVER)

    def plan(self, kind: str, written: Any) -> Told:
        return self._run(kind, written, apply=False)

    def apply(
        self, kind: str, written: Any, *, only: Sequence[str] = (), files: Mapping[str, str] | None = None
    ) -> Told:
        """``only``: the resources that are permitted, where not all are."""
        return self._run(kind, written, apply=True, only=only, files=files or {})

    def converge(self, kind: str, written: Any) -> tuple[str, ...]:
        """Applies, expects all of it to end well and nothing to be left to do, and returns the changes."""
        told = self.apply(kind, written)
        assert (told.status, told.error) == ("done", "")
        assert told.left == (), "the second run wants something"
        return told.changes

    def _run(self, kind: str, written: Any, **order: Any) -> Told:
        document = json.dumps({"kind": kind, "written": written, "only": [], "files": {}, "pins": self.pins, **order})
        done = self.host.run([PYTHON, "-I", DRIVER], input=document.encode(), timeout_s=TIMEOUT_S)
        told = json.loads(done.output)
        left = told.get("left", {"changes": [], "error": ""})
        return Told(
            status=told["status"],
            error=told["error"],
            changes=_worded(told["changes"]),
            diffs={resource: diff for resource, _, diff in told["changes"] if diff},
            succeeded=tuple(resource for resource, succeeded, _ in told["results"] if succeeded),
            failed={resource: error for resource, succeeded, error in told["results"] if not succeeded},
            left=(*_worded(left["changes"]), *filter(None, [left["error"]])),
        )


def _worded(changes: list[list[str]]) -> tuple[str, ...]:
    return tuple(f"{resource} | {operation}" for resource, operation, _ in changes)
