"""What stories begin with: a world to push to, and hosts with the agent installed.

Most begin on a host that follows the world and has converged. Such a host is made once for each suite, and all others
boot from it as an image: that takes a tenth of the seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gitserver import HttpServer, http_server
from tests.lab.host import Host
from tests.lab.images import Image
from tests.lab.installed import agent
from tests.lab.lab import Lab
from tests.stories.world import World, follow, rest

Boot = Callable[..., Host]

PORT = 8417
"""Where a host that was booted from an image finds the Git server of its world on its own loopback."""

CONFIG = f"http://127.0.0.1:{PORT}/config.git"


@dataclass(frozen=True, slots=True)
class Followed:
    """A world, and the image of a host that followed it; both are for copies only."""

    world: World
    image: Image


Follow = Callable[[str], Followed]


@pytest.fixture(scope="session")
def followed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Follow:
    """The host of a suite that follows the first commit of a world of its own, unsigned."""
    made: dict[str, Followed] = {}

    def of(suite: str) -> Followed:
        if suite not in made:
            world = World(tmp_path_factory.mktemp("followed") / "world")
            made[suite] = Followed(world, image_of(lab, world, suite))
        return made[suite]

    return of


def image_of(lab: Lab, world: World, suite: str, *options: str, files: dict[str, str] | None = None) -> Image:
    """A host that holds ``files`` and follows ``world`` since it was set up with ``options``; its daemon does not start
    by itself."""
    with http_server(world.served) as server:
        host = lab.boot(suite, image=agent(suite), name="web1")
        for path, text in (files or {}).items():
            host.write(path, text)
        host.reach(server.port, at=PORT)
        follow(host, CONFIG, *options)
        rest(host)
        host.run("systemctl disable --quiet hostwright.service")
        return host.freeze()


@pytest.fixture
def suite() -> str:
    """The Debian that ``host`` is; parametrize it for others."""
    return "bookworm"


@pytest.fixture
def begun(followed: Follow, suite: str) -> Followed:
    """What the test begins with."""
    return followed(suite)


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
def host(lab: Lab, begun: Followed, http: HttpServer, suite: str) -> Iterator[Host]:
    """web1: follows the world, has converged, and runs no cycle but those that a test asks for."""
    with lab.boot(suite, image=begun.image, name="web1") as host:
        host.reach(http.port, at=PORT)
        host.reach(http.port)
        host.run("systemctl enable --quiet hostwright.service")
        yield host


@pytest.fixture
def daemon(host: Host) -> None:
    """web1's daemon is at work."""
    host.run("systemctl start hostwright.service")
