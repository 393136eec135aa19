"""People who sign, and a host that trusts one of them and rests on her commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.system import host as machine
from agent.system import systemd
from tests.adversary.victim import INVENTORY, SIGNERS, VITALS, Victim, motd, victim
from tests.gitserver import Author, author


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


@pytest.fixture
def host(tmp_path: Path, ann: Author, bob: Author) -> Iterator[Victim]:
    host = victim(tmp_path, ann)
    files = {f"{INVENTORY}/hosts.yaml": "all: {hosts: {web1: {}}}\n", SIGNERS: f"{bob.line}\n", **motd("hello")}
    host.repo.commit("First", files, by=ann)
    assert host.cycle().problems == ()
    yield host
    host.parts.mirror.close()
