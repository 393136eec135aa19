"""A config repo with deploy files in a temporary folder, and an engine that plans and applies them for real."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.digest import JSON
from agent.domain.outcome import DeployOutcome, OperationResult
from agent.domain.plan import Plan
from agent.engine.client import Decision, Engine, Execute, FoundDeploy
from tests import children

TIMEOUT_S = 60


def everything(found: FoundDeploy) -> Decision:
    return Execute(frozenset(change.resource for change in found.changes))


@dataclass
class Bench:
    """``root`` is the config repo; ``target`` the only place that its deploys may write to."""

    root: Path
    target: Path
    work: Path
    deploys: list[DesiredDeploy] = field(default_factory=list)
    results: list[OperationResult] = field(default_factory=list)
    started: list[tuple[str, str, str]] = field(default_factory=list)
    alone: bool = False
    """True where its engines start processes of their own."""

    def deploy(self, name: str, code: str, **data: JSON) -> None:
        """Adds ``deploys/<name>.py``; it finds ``target`` among its data."""
        self.write(f"deploys/{name}.py", code)
        source = f"deploys/{name}.py"
        data = {"target": str(self.target), **data}
        self.deploys.append(DesiredDeploy(name, "deploy", {}, digest=name, source=source, data=data))

    def built_in(self, name: str, kind: str, arguments: Mapping[str, JSON]) -> None:
        self.deploys.append(DesiredDeploy(name, kind, arguments, digest=name))

    def write(self, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEADER + textwrap.dedent(content) if path.endswith(".py") else content)

    def state(self) -> DesiredState:
        return DesiredState("here", "0" * 40, tuple(self.deploys), "d")

    def engine(self, timeout_s: int = TIMEOUT_S, inherit: tuple[int, ...] = ()) -> Engine:
        make = Engine if self.alone else children.engine
        return make(work=self.work, timeout_s=timeout_s, inherit=inherit)

    def plan(self, *interrupted: str, earlier: Plan | None = None) -> dict[str, FoundDeploy]:
        found = self.engine().plan(self.state(), self.root, frozenset(interrupted), earlier)
        return {prepared.deploy: prepared for prepared in found}

    def apply(
        self,
        *interrupted: str,
        decide: Callable[[FoundDeploy], Decision] = everything,
        engine: Engine | None = None,
        on_started: Callable[[str, str, str], None] = lambda *_: None,
    ) -> dict[str, DeployOutcome]:
        def started(deploy: str, resource: str, operation: str) -> None:
            self.started.append((deploy, resource, operation))
            on_started(deploy, resource, operation)

        outcomes = (engine or self.engine()).apply(
            self.state(),
            self.root,
            frozenset(interrupted),
            decide=decide,
            on_started=started,
            on_operated=self.results.append,
        )
        return {outcome.deploy: outcome for outcome in outcomes}


HEADER = """\
from io import StringIO
from pathlib import Path
from pyinfra import host
from pyinfra.operations import files, python, server
target = Path(host.data.target) if hasattr(host.data, "target") else None
"""
HEADER_LINES = HEADER.count("\n")


def make_bench(folder: Path, *, alone: bool = False) -> Bench:
    for name in ("root", "target"):
        (folder / name).mkdir()
    return Bench(folder / "root", folder / "target", folder / "work", alone=alone)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One for all tests of a module that look at the results of the same run: a child costs half a second."""
    return make_bench(tmp_path_factory.mktemp("bench"))
