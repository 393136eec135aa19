"""Hosts that go back, each in the state in which tests begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rollback.mortal import Host, Stage, at_rest, feel_well


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture
def host(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Host:
    """It has followed nothing yet, on a machine that is well."""
    feel_well(monkeypatch)
    return stage.host()


@pytest.fixture
def good(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Host:
    """At rest on a good commit."""
    feel_well(monkeypatch)
    return stage.kept("good", lambda: at_rest(stage.host()))
