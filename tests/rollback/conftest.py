"""Hosts that go back, each in the state in which tests begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rollback.mortal import Host, Hosts, at_rest, feel_well


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Host:
    """It has followed nothing yet, on a machine that is well."""
    feel_well(monkeypatch)
    return hosts.new()


@pytest.fixture
def good(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Host:
    """At rest on a good commit."""
    feel_well(monkeypatch)
    return hosts.kept("good", lambda: at_rest(hosts.new()))
