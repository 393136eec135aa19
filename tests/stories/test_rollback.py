"""A bad commit on a real host: it is taken back, told, and not tried again; a Git server that is away blames nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.network import Network
from tests.stories.following import Followed, following, point, wake
from tests.stories.world import World, apply

QUICK = "schedule: {fetch: 1h, drift: 1h, settle: 4s}\n"

GOOD = """\
- hosts: all
  deploys:
    - name: web
      deploy: services
      with:
        web.service:
          content: |
            [Service]
            ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 %(port)s
            ExecStartPost=/bin/sh -c 'until ss -Hltn | grep -q :%(port)s; do sleep 0.1; done'
          running: true
      health: [{http: "http://127.0.0.1:8081/"}, {unit: web.service, since: 1s}]
"""

CUT = """\
    - services:
        cutoff.service:
          content: |
            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/sbin/ip route add blackhole %(server)s/32
            ExecStop=/usr/sbin/ip route del blackhole %(server)s/32
          running: true
"""


@pytest.fixture(scope="module")
def network(lab: Lab) -> Network:
    return lab.network()


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = begun.world.copy(tmp_path_factory.mktemp("world") / "world")
    files = {"inventories/lab/site.yaml": GOOD % {"port": 8081}, "inventories/lab/fleet.yaml": QUICK}
    world.commit("A web server", files)
    return world


@pytest.fixture(scope="module")
def host(begun: Followed, world: World, lab: Lab, network: Network) -> Iterator[Host]:
    """web1 serves something well, and reaches the config repo by a network of its own."""
    options = ("--capability=CAP_NET_ADMIN",)
    with (
        http_server(world.served) as http,
        wake(lab, begun, network=network, options=options) as host,
    ):
        point(host, f"http://{network.expose(http.port)}/config.git")
        assert apply(host).code == 0
        yield host


def test_a_git_server_that_is_away_makes_nothing_bad(world: World, host: Host, network: Network) -> None:
    network.cut(host.name)
    assert apply(host).code == 4
    host.run("rm -f /etc/systemd/system/web.service && systemctl stop web")
    assert apply(host).code == 4, "what was changed by hand is repaired all the same"
    network.mend(host.name)
    assert apply(host).code == 0
    assert host.run("test -e /var/lib/hostwright/bad.json", check=False).code == 1
    assert world.report("web1")["phase"] == "converged"


def test_a_commit_that_breaks_a_service_is_taken_back_told_and_not_tried_again(world: World, host: Host) -> None:
    sha = world.site(GOOD % {"port": 8082})
    assert apply(host).code == 8
    host.run("python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:8081/\")'")
    report = world.report("web1")
    (problem,) = (each for each in report["problems"] if each["kind"] == "rolled-back")
    assert report["phase"] == "rolled-back"
    assert sha[:12] in problem["message"]
    assert "http http://127.0.0.1:8081/: Connection refused" in problem["message"]
    assert "⏪" in world.page()

    again = apply(host)
    assert (again.code, "not applied: commit" in again.error) == (0, True)
    assert host.run("systemctl is-failed web.service", check=False).code != 0
    assert world.report("web1")["phase"] == "rolled-back"

    world.site(GOOD % {"port": 8081} + "    - files: {/etc/mended: {content: mended}}\n")
    assert apply(host).code == 0
    assert world.report("web1")["phase"] == "converged"


def test_a_commit_that_cuts_the_host_off_is_taken_back(world: World, host: Host, network: Network) -> None:
    world.site(GOOD % {"port": 8081} + CUT % {"server": network.address})
    assert apply(host).code == 8
    report = world.report("web1")
    assert report["phase"] == "rolled-back"
    assert "cannot be reached any more" in report["problems"][0]["message"]
    assert host.run("test -e /etc/systemd/system/cutoff.service", check=False).code == 1
