"""People who sign, and a host that trusts one of them and rests on her commit."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from agent.domain.report import Report
from agent.system import host as machine
from agent.system import systemd
from tests.adversary.victim import INVENTORY, SIGNERS, VITALS, SpyEngine, Victim, at, motd, victim
from tests.gitserver import Author, author
from tests.stage import Stage


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Author]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: author(folder, name) for name in ("ann", "bob", "eve")}


@pytest.fixture
def ann(people: dict[str, Author]) -> Author:
    """The anchor."""
    return people["ann"]


@pytest.fixture
def bob(people: dict[str, Author]) -> Author:
    """May sign by a commit of Ann's."""
    return people["bob"]


@pytest.fixture
def eve(people: dict[str, Author]) -> Author:
    """May push, and sign nothing."""
    return people["eve"]


@pytest.fixture(autouse=True)
def _a_machine_that_feels_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "failed_units", lambda: ())
    monkeypatch.setattr(machine, "vitals", lambda _: VITALS)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def host(stage: Stage, ann: Author, bob: Author) -> Iterator[Victim]:
    def rest() -> tuple[SpyEngine, list[Report]]:
        stage.clear()
        host = victim(stage.folder, ann)
        files = {f"{INVENTORY}/hosts.yaml": "all: {hosts: {web1: {}}}\n", SIGNERS: f"{bob.line}\n", **motd("hello")}
        host.repo.commit("First", files, by=ann)
        assert host.cycle().problems == ()
        host.parts.mirror.close()
        return host.engine, host.reporter.reports

    engine, reports = stage.restore("at rest", rest)
    host = at(stage.folder)
    vars(host.engine).update(copy.deepcopy(vars(engine)))
    host.reporter.reports[:] = reports
    yield host
    host.parts.mirror.close()
