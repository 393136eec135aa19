"""People who sign, and a host that follows their repository, for the tests of verify."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.system.git import Access, Mirror
from tests.gitserver import Author, ConfigRepo, author
from tests.steps.follower import SIGNERS, Host


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
    """Trusts Ann from the start; Bob by a commit of hers, which the host already has."""
    anchors = tmp_path / "etc/trusted_signers"
    anchors.parent.mkdir()
    anchors.write_text(f"# the administrators\n{ann.line}\n")
    host = Host(repo, Mirror(tmp_path / "repo.git", Access(None, None)), anchors)
    yield host
    host.mirror.close()


@pytest.fixture
def running(host: Host, ann: Author, bob: Author) -> Host:
    host.repo.commit("First", {SIGNERS: f"{bob.line}\n"}, by=ann)
    host.pull()
    return host
