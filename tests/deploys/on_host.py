"""A booted host that takes one built-in deploy at a time, through the real engine (``driver.py`` runs there)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host import Host

PYTHON = "/opt/hostwright/current/bin/python"


class Script:
    """A script of this folder that answers questions on a host; ``serving.py`` says how. It is started with the first
    question, and anew where the host was booted again."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._path = f"/root/{name}"
        self._process: subprocess.Popen[str] | None = None
        self._log = host.folder / f"{name}.log"
        for each in (name, "serving.py"):
            host.push(Path(__file__).with_name(each), f"/root/{each}")

    def ask(self, question: Mapping[str, Any]) -> Any:
        """The answer. Raises AssertionError with what the script raised."""
        if self._process is None or self._process.poll() is not None:
            with self._log.open("w") as log:
                self._process = self._host.start([PYTHON, "-I", "/root/serving.py", self._path], stderr=log)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(question)}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        told = json.loads(line) if line else {"raised": f"it ended: {self._log.read_text()[-4000:]}"}
        assert "raised" not in told, told["raised"]
        return told["answer"]


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
        self._driver = Script(host, "driver.py")

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
        question = {"kind": kind, "written": written, "only": [], "files": {}, "pins": self.pins, **order}
        told = self._driver.ask(question)
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
