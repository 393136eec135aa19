"""Runs on a booted host, with the agent installed there, by ``serving``: one built-in deploy through the real engine.

Takes {"kind", "written", "files", "pins", "only", "apply"}: what an inventory would write, the commit's files, the
tools of lock.yaml, the resources that may change (all, when empty), and whether to apply or only to plan.
Every plan holds as well that traces are sound: while each answer to what the plan before it rested on is the same, it
finds the same. So each test that spoils something and plans again looks whether the daemon would see it.

Returns {"status", "error", "changes": [[resource, operation, diff]], "results": [[resource, succeeded, error]],
"left": …}; ``left`` is what a plan right after wants and complains of.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent.deploys.spec import spec_class
from agent.domain import codec
from agent.domain.desired import DesiredDeploy, DesiredState, Looking
from agent.domain.pins import Pins, ToolPin
from agent.domain.tree import Entry, Tree, blob_id
from agent.engine.client import Engine, Execute, FoundDeploy
from agent.trace.answers import differing

TIMEOUT_S = 600

TRACES: dict[str, tuple[str, dict[str, Any]]] = {}
"""By a deploy and its arguments, the answers that its last plan rested on, and what that found."""


class Files(Tree):
    """The commit's files; nothing is rendered here."""

    def __init__(self, files: dict[str, str], pins: list[Any]) -> None:
        self._files = files
        self.pins = Pins({pin.name: pin for pin in TypeAdapter(list[ToolPin]).validate_python(pins)})
        self.tree = self
        self.inventory = "lab"

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        return tuple(
            Entry(path, 0o100755 if text.startswith("#!") else 0o100644, blob_id(text.encode()))
            for path, text in sorted(self._files.items())
            if path.startswith(prefix)
        )

    def read(self, path: str) -> bytes:
        return self._files[path].encode()

    def render(self, template: str, origin: str) -> str:
        return template


def desired(order: dict[str, Any]) -> DesiredState:
    spec = spec_class(order["kind"])
    concrete = spec.model_validate(spec.from_short(order["written"])).concrete(Files(order["files"], order["pins"]))
    looking = Looking.PRIVILEGED if concrete.needs_more_to_look else Looking.CONFINED
    deploy = DesiredDeploy("tried", order["kind"], concrete.arguments, "", concrete.resources, looking=looking)
    return DesiredState("host", "", (deploy,), "")


def apply(engine: Engine, state: DesiredState, root: Path, only: list[str]) -> dict[str, Any]:
    found: list[FoundDeploy] = []
    results: list[list[Any]] = []

    def decide(prepared: FoundDeploy) -> Execute:
        found.append(prepared)
        return Execute(frozenset(only or (change.resource for change in prepared.changes)))

    (outcome,) = engine.apply(
        state,
        root,
        frozenset(),
        decide=decide,
        on_operated=lambda result: results.append([result.resource, result.succeeded, result.error]),
    )
    told = described(found[0])
    return {**told, "status": outcome.status, "error": told["error"] or outcome.error, "results": results}


def plan(engine: Engine, state: DesiredState, root: Path) -> dict[str, Any]:
    asked = json.dumps([state.deploys[0].kind, codec.to_plain(state.deploys[0].arguments)])
    before = TRACES.get(asked)
    same = before is not None and not any(differing(before[0].encode("latin-1").splitlines()))
    (prepared,) = engine.plan(state, root, frozenset())
    told = described(prepared)
    if same and before is not None and told != before[1]:
        raise AssertionError(f"no answer differs, and the plan does: {before[1]} then, {told} now; {before[0]}")
    if prepared.trace and not prepared.trace.startswith("unsigned"):
        TRACES[asked] = (prepared.trace, told)
    return {**told, "status": "planned", "results": []}


def described(prepared: FoundDeploy) -> dict[str, Any]:
    changes = [[change.resource, change.operation, change.diff] for change in prepared.changes]
    return {"changes": changes, "error": prepared.error or ""}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    state = desired(order)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in order["files"].items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        engine = Engine(work=root / "work", timeout_s=TIMEOUT_S, traced=True)
        if order["apply"]:
            return {**apply(engine, state, root, order["only"]), "left": plan(engine, state, root)}
        return plan(engine, state, root)
