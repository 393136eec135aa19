"""Many hosts report to one branch at the same moment, and every report is there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.stories.conftest import Boot
from tests.stories.world import World, follow

HOSTS = "all:\n  hosts:\n    web[1:20]: {}\n  vars: {greeting: hello}\n"


def together(hosts: list[Host], do: Callable[[Host], object], *, at_once: int) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(do, hosts))


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.long)])
def test_every_report_of_hosts_that_report_at_the_same_moment_is_there(
    new_world: World, boot: Boot, count: int
) -> None:
    world = new_world
    world.commit(
        "Many hosts",
        {
            "inventories/lab/hosts.yaml": HOSTS,
            "inventories/lab/fleet.yaml": "schedule: {fetch: 1h, drift: 1h}\nstatus: {pushes_per_minute: 60}\n",
        },
    )
    hosts = [boot(name=f"web{number}") for number in range(1, count + 1)]
    with http_server(world.served) as http:
        url = http.url("config.git")
        together(hosts, lambda host: follow(host, url, "--once", name=host.name), at_once=3)
        world.site("- hosts: all\n  deploys:\n    - files: {/etc/a: {content: a}}\n")
        together(hosts, lambda host: host.run(["hostwright", "apply"], timeout_s=300), at_once=count)
    assert {host.name: world.report(host.name)["commits"]["aimed"] for host in hosts} == {
        host.name: world.head for host in hosts
    }
    page = world.page()
    assert all(f"<code>{host.name}</code>" in page for host in hosts)
