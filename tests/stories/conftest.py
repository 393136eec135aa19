"""What stories begin with: a world to push to, and hosts with the agent installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gitserver import HttpServer, http_server
from tests.lab.host import Host
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.world import World, follow, rest

Boot = Callable[..., Host]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def http(world: World) -> Iterator[HttpServer]:
    with http_server(world.served) as server:
        yield server


@pytest.fixture
def boot(lab: Lab) -> Iterator[Boot]:
    """Boots hosts on which bootstrap.sh has just installed the agent; they are gone after the test."""
    booted: list[Host] = []

    def begin(suite: str = "bookworm", name: str = "web1") -> Host:
        booted.append(lab.boot(suite, image=agent(suite), name=name))
        return booted[-1]

    yield begin
    for host in booted:
        host.destroy()


@pytest.fixture
def host(world: World, http: HttpServer, boot: Boot) -> Host:
    """web1: follows the world, has converged, and runs no cycle but those that a test asks for."""
    host = boot()
    follow(host, http.url("config.git"))
    rest(host)
    return host
