"""What stories begin with: a world to push to, and hosts with the agent installed.

Most begin on a host that follows the world and has converged (``following.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gitserver import HttpServer, http_server
from tests.lab.host import Host
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import World

Boot = Callable[..., Host]


@pytest.fixture
def suite() -> str:
    """The Debian that ``host`` is; parametrize it for others."""
    return "bookworm"


@pytest.fixture
def begun(lab: Lab, suite: str) -> Followed:
    """What the test begins with."""
    return following(lab, suite)


@pytest.fixture
def world(begun: Followed, tmp_path: Path) -> World:
    """The world that ``host`` follows."""
    return begun.world.copy(tmp_path / "world")


@pytest.fixture
def new_world(tmp_path: Path) -> World:
    """A world that no host has followed yet."""
    return World(tmp_path / "new")


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
def host(lab: Lab, begun: Followed, http: HttpServer) -> Iterator[Host]:
    """web1: follows the world, has converged, and runs no cycle but those that a test asks for."""
    with at_rest(lab, begun, http) as host:
        yield host


@pytest.fixture
def daemon(host: Host) -> None:
    """web1's daemon is at work."""
    host.run("systemctl start hostwright.service")
