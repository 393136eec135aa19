"""A Git server that is ill in one way or another: the host stays on what it had, goes on repairing itself, says what is
wrong, and nothing of that is lost when the server is well again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from tests.gitserver import answering_server, silent_server
from tests.lab.host import Completed, Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, following, point, wake
from tests.stories.world import MOTD, World, apply, kinds

LOCAL = "/srv/config.git"
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n"


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    with silent_server() as port:
        pass
    yield port


ILLS: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "hangs": silent_server,
    "trickles": lambda: answering_server(HEADERS, trickles=True),
    "talks garbage": lambda: answering_server(HEADERS + b"\x00\xff" * 4096),
    "breaks off": lambda: answering_server(HEADERS + b"001e# service=git-upload-pack\n0000"),
    "is down": closed_port,
}


NAMED = {"problem-timeout", "problem-source-unreachable", "problem-bad-answer"}


@pytest.fixture(scope="module")
def well(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def worlds(well: Followed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    return {ill: well.world.copy(tmp_path_factory.mktemp("world") / "world") for ill in ILLS}


@pytest.fixture(scope="module")
def hosts(lab: Lab, well: Followed, worlds: dict[str, World]) -> Iterator[dict[str, Host]]:
    """One for each illness: half a minute of patience with each server is waited for once. Each holds its repository as
    a folder of its own."""
    with contextlib.ExitStack() as stack:
        hosts = {}
        for ill, world in worlds.items():
            bind = f"--bind={world.served}:/srv"
            host = wake(lab, well, options=(bind,))
            hosts[ill] = stack.enter_context(host)
        yield hosts


@pytest.fixture(scope="module")
def told(hosts: dict[str, Host]) -> dict[str, Completed]:
    """What each host said of a cycle against its server; all have been changed by hand before."""

    def visit(ill: str) -> Completed:
        host = hosts[ill]
        with ILLS[ill]() as port:
            host.write("/etc/motd", "by hand\n")
            host.reach(port)
            point(host, f"http://127.0.0.1:{port}/config.git")
            return apply(host)

    with ThreadPoolExecutor(len(hosts)) as pool:
        return dict(zip(hosts, pool.map(visit, hosts), strict=True))


@pytest.mark.parametrize("ill", ILLS)
def test_a_host_whose_server_is_ill_keeps_itself_and_says_so(
    hosts: dict[str, Host], told: dict[str, Completed], ill: str
) -> None:
    assert told[ill].code == 4, told[ill].error
    assert hosts[ill].read("/etc/motd") == "hello from web1\n"
    assert NAMED & {*kinds(hosts[ill])}


@pytest.mark.parametrize("ill", ILLS)
def test_when_the_server_is_well_again_all_is_told_and_done(
    worlds: dict[str, World], hosts: dict[str, Host], told: dict[str, Completed], ill: str
) -> None:
    del told  # it is to be over
    host, world = hosts[ill], worlds[ill]
    point(host, LOCAL)
    world.site(MOTD.replace("from", "again from"))
    before = world.report("web1")["sequence"]
    assert apply(host).code == 0
    assert host.read("/etc/motd") == "hello again from web1\n"
    assert world.report("web1")["sequence"] >= before + 2
    assert host.run("ls /var/lib/hostwright/spool | grep 'json$'", check=False).output == ""
