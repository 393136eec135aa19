"""What always says "changed" runs once; what waits for a change runs when there was one, kill or no kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import World, apply, until

COUNTER = """\
- hosts: all
  deploys:
    - name: counter
      deploy: deploys/counter.py
"""

COUNT = """\
from pyinfra.operations import files, server

server.shell(name="count", commands=["echo ran >> /root/ran"])
files.line(name="a line", path="/root/line", line="wanted")
"""

UNIT = """\
[Unit]
Description=Remembers the configuration that it was started with
[Service]
ExecStart=/bin/sh -c 'cp /etc/app.conf /run/app.loaded; exec sleep infinity'
"""

APP = """\
- hosts: all
  deploys:
    - name: app
      deploy: deploys/app.py
      with: {color: %s}
"""

DEPLOY = f'''\
from io import StringIO

from pyinfra import host
from pyinfra.operations import files, server, systemd

unit = files.put(name="unit", src=StringIO("""{UNIT}"""), dest="/etc/systemd/system/app.service", mode="644")
conf = files.put(name="configuration", src=StringIO(f"color={{host.data.color}}\\n"), dest="/etc/app.conf", mode="644")
server.shell(name="take a while", commands=["touch /root/between"], _if=conf.did_change)
systemd.service(name="running", service="app.service", running=True, daemon_reload=unit.will_change)
systemd.service(name="restart", service="app.service", restarted=True, _if=conf.did_change)
'''

WAITS = "until test -e /root/go; do sleep 0.1; done"


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    return begun.world.copy(tmp_path_factory.mktemp("world") / "world")


@pytest.fixture(scope="module")
def host(lab: Lab, begun: Followed, world: World) -> Iterator[Host]:
    """One for all tests: each wants what no other does, or a color that it has not."""
    with http_server(world.served) as server, at_rest(lab, begun, server) as host:
        yield host


@pytest.fixture(scope="module")
def counting(world: World, host: Host) -> Host:
    """The counter has run, for the first time."""
    world.commit("Count", {"inventories/lab/site.yaml": COUNTER, "deploys/counter.py": COUNT})
    assert apply(host).code == 0
    return host


@pytest.fixture(scope="module")
def red(world: World, host: Host) -> Host:
    """The service is there, and has been told of one configuration."""
    world.commit("App", {"inventories/lab/site.yaml": APP % "red", "deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    assert loaded(host) == "color=red\n"
    return host


def paint(world: World, color: str, deploy: str = DEPLOY) -> None:
    files = {"inventories/lab/site.yaml": APP % color, "deploys/app.py": deploy}
    world.commit(f"Paint it {color}", files)


def runs(host: Host) -> int:
    return host.read("/root/ran").count("ran")


def loaded(host: Host) -> str:
    return host.read("/run/app.loaded")


def test_an_operation_that_always_says_changed_runs_once(world: World, counting: Host) -> None:
    for _ in range(2):
        assert apply(counting).code == 0
    assert runs(counting) == 1
    report = world.report("web1")
    assert report["phase"] == "converged"
    assert [deploy["not_idempotent"] for deploy in report["deploys"]] == [["op:count#1"]]
    assert counting.run(["hostwright", "plan"]).code == 0


def test_it_runs_again_when_its_deploy_changes_in_git(world: World, counting: Host) -> None:
    before = runs(counting)
    world.commit("Touch it", {"deploys/counter.py": COUNT + "# again\n"})
    apply(counting)
    apply(counting)
    assert runs(counting) == before + 1


def test_it_runs_along_with_a_real_change_of_its_deploy(counting: Host) -> None:
    before = runs(counting)
    counting.write("/root/line", "by hand\n")
    apply(counting)
    assert runs(counting) == before + 1
    apply(counting)
    assert runs(counting) == before + 1


def test_a_service_is_restarted_when_its_configuration_changes_and_not_every_minute(world: World, red: Host) -> None:
    paint(world, "blue")
    apply(red)
    assert loaded(red) == "color=blue\n"
    pid = red.run("systemctl show -p MainPID --value app").output
    for _ in range(2):
        apply(red)
    assert red.run("systemctl show -p MainPID --value app").output == pid


def test_a_cycle_killed_between_edit_and_restart_ends_with_the_service_on_the_new_configuration(
    world: World, red: Host
) -> None:
    before = loaded(red)
    red.run("rm -f /root/between")
    paint(world, "green", DEPLOY.replace("between", f"between; {WAITS}"))
    red.run("systemctl start --no-block hostwright-cycle")
    until(lambda: red.run("test -e /root/between", check=False).code == 0, "the moment between edit and restart")
    red.run("systemctl kill --signal=KILL hostwright-cycle")
    assert (red.read("/etc/app.conf"), loaded(red)) == ("color=green\n", before)
    red.run("touch /root/go")
    assert apply(red).code == 0
    assert loaded(red) == "color=green\n"
    assert red.run(["hostwright", "plan"]).code == 0


def test_a_restart_that_a_failure_swallowed_comes_with_the_next_run(world: World, red: Host) -> None:
    before = loaded(red)
    failing = DEPLOY.replace("between", "between; echo could not resolve host >&2; exit 1")
    paint(world, "black", failing)
    assert apply(red).code == 7
    assert (red.read("/etc/app.conf"), loaded(red)) == ("color=black\n", before)
    world.commit("Mend it", {"deploys/app.py": DEPLOY})
    assert apply(red).code == 0
    assert loaded(red) == "color=black\n"


def test_sigterm_lets_the_operation_end_and_the_next_cycle_goes_on(world: World, red: Host) -> None:
    before = loaded(red)
    red.run("rm -f /root/between /root/go")
    paint(world, "white", DEPLOY.replace("between", f"between; {WAITS}; touch /root/whole"))
    red.run("systemctl start --no-block hostwright-cycle")
    until(lambda: red.run("test -e /root/between", check=False).code == 0, "the operation")
    red.run("systemctl stop --no-block hostwright-cycle")
    until(lambda: red.run("systemctl is-active hostwright-cycle", check=False).output == "deactivating\n", "SIGTERM")
    red.run("touch /root/go && systemctl stop hostwright-cycle")
    assert red.run("test -e /root/whole").code == 0
    assert loaded(red) == before
    assert apply(red).code == 0
    assert loaded(red) == "color=white\n"


def test_the_built_in_services_need_no_memory_of_an_edit(world: World, host: Host) -> None:
    host.write("/etc/systemd/system/built-in.service", UNIT.replace("app", "built-in"))
    site = """\
- hosts: all
  deploys:
    - files: {/etc/built-in.conf: {content: "color=%s\\n"}}
    - services: {built-in.service: {running: true, restart_on: [/etc/built-in.conf]}}
"""

    def color() -> str:
        return host.read("/run/built-in.loaded")

    world.site(site % "red")
    assert apply(host).code == 0
    assert color() == "color=red\n"
    world.site(site % "blue")
    assert apply(host).code == 0
    assert color() == "color=blue\n"
    host.write("/etc/built-in.conf", "color=green\n")
    assert apply(host).code == 0
    assert color() == "color=blue\n"
    assert host.run(["hostwright", "plan"]).code == 0
