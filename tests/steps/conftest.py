"""People who sign, and a host that follows their repository, for the tests of verify."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitserver import Author, ConfigRepo, author
from tests.stage import Stage
from tests.steps.follower import SIGNERS, Host, staged


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Author]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: author(folder, name) for name in ("ann", "bob", "eve")}


@pytest.fixture
def ann(people: dict[str, Author]) -> Author:
    return people["ann"]


@pytest.fixture
def bob(people: dict[str, Author]) -> Author:
    return people["bob"]


@pytest.fixture
def eve(people: dict[str, Author]) -> Author:
    return people["eve"]


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    return ConfigRepo(tmp_path / "work")


@pytest.fixture
def host(tmp_path: Path, repo: ConfigRepo, ann: Author) -> Iterator[Host]:
    """Trusts Ann from the start, and has nothing yet."""
    host = Host.new(tmp_path, repo, ann)
    yield host
    host.mirror.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def running(stage: Stage, ann: Author, bob: Author) -> Iterator[Host]:
    """Trusts Ann from the start; Bob by a commit of hers, which the host already has."""

    def prepare(host: Host) -> None:
        host.repo.commit("First", {SIGNERS: f"{bob.line}\n"}, by=ann)
        host.pull()

    host = staged(stage, "running", ann, prepare)
    yield host
    host.mirror.close()
