"""What always says "changed" runs once; what waits for a change runs when there was one, kill or no kill."""

from __future__ import annotations

import time

import pytest

from tests.lab.host import Host
from tests.stories.world import World, apply, cycle, until

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


def runs(host: Host) -> int:
    return host.read("/root/ran").count("ran")


def loaded(host: Host) -> str:
    return host.read("/run/app.loaded")


@pytest.mark.usefixtures("daemon")
def test_an_operation_that_always_says_changed_runs_once(world: World, host: Host) -> None:
    world.commit("Count", {"inventories/lab/site.yaml": COUNTER, "deploys/counter.py": COUNT})
    for _ in range(3):
        assert cycle(host) == 0
    assert runs(host) == 1
    report = world.report("web1")
    assert report["phase"] == "converged"
    assert [deploy["not_idempotent"] for deploy in report["deploys"]] == [["op:count#1"]]
    assert host.run(["hostwright", "plan"]).code == 0


def test_it_runs_again_when_its_deploy_changes_in_git(world: World, host: Host) -> None:
    world.commit("Count", {"inventories/lab/site.yaml": COUNTER, "deploys/counter.py": COUNT})
    assert apply(host).code == 0
    world.commit("Touch it", {"deploys/counter.py": COUNT + "# again\n"})
    apply(host)
    apply(host)
    assert runs(host) == 2


def test_it_runs_along_with_a_real_change_of_its_deploy(world: World, host: Host) -> None:
    world.commit("Count", {"inventories/lab/site.yaml": COUNTER, "deploys/counter.py": COUNT})
    assert apply(host).code == 0
    host.write("/root/line", "by hand\n")
    apply(host)
    assert runs(host) == 2
    apply(host)
    assert runs(host) == 2


def test_a_service_is_restarted_when_its_configuration_changes_and_not_every_minute(world: World, host: Host) -> None:
    world.commit("App", {"inventories/lab/site.yaml": APP % "red", "deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    assert loaded(host) == "color=red\n"
    world.site(APP % "blue")
    apply(host)
    assert loaded(host) == "color=blue\n"
    pid = host.run("systemctl show -p MainPID --value app").output
    for _ in range(3):
        apply(host)
    assert host.run("systemctl show -p MainPID --value app").output == pid


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_cycle_killed_between_edit_and_restart_ends_with_the_service_on_the_new_configuration(
    world: World, host: Host
) -> None:
    world.commit("App", {"inventories/lab/site.yaml": APP % "red", "deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    host.run("rm /root/between")
    slow = DEPLOY.replace("between", "between; sleep 3")
    world.commit("Blue", {"inventories/lab/site.yaml": APP % "blue", "deploys/app.py": slow})
    host.run("systemctl start --no-block hostwright-cycle")
    until(lambda: host.run("test -e /root/between", check=False).code == 0, "the moment between edit and restart")
    host.run("systemctl kill --signal=KILL hostwright-cycle")
    assert (host.read("/etc/app.conf"), loaded(host)) == ("color=blue\n", "color=red\n")
    assert apply(host).code == 0
    assert loaded(host) == "color=blue\n"
    assert host.run(["hostwright", "plan"]).code == 0


def test_a_restart_that_a_failure_swallowed_comes_with_the_next_run(world: World, host: Host) -> None:
    world.commit("App", {"inventories/lab/site.yaml": APP % "red", "deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    failing = DEPLOY.replace("between", "between; echo could not resolve host >&2; exit 1")
    world.commit("Blue, and broken", {"inventories/lab/site.yaml": APP % "blue", "deploys/app.py": failing})
    assert apply(host).code == 7
    assert (host.read("/etc/app.conf"), loaded(host)) == ("color=blue\n", "color=red\n")
    world.commit("Mend it", {"deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    assert loaded(host) == "color=blue\n"


def test_sigterm_lets_the_operation_end_and_the_next_cycle_goes_on(world: World, host: Host) -> None:
    world.commit("App", {"inventories/lab/site.yaml": APP % "red", "deploys/app.py": DEPLOY})
    assert apply(host).code == 0
    host.run("rm /root/between")
    slow = DEPLOY.replace("between", "between; sleep 3; touch /root/whole")
    world.commit("Blue", {"inventories/lab/site.yaml": APP % "blue", "deploys/app.py": slow})
    host.run("systemctl start --no-block hostwright-cycle")
    until(lambda: host.run("test -e /root/between", check=False).code == 0, "the operation")
    time.sleep(0.2)
    host.run("systemctl stop hostwright-cycle")
    assert host.run("test -e /root/whole").code == 0
    assert loaded(host) == "color=red\n"
    assert apply(host).code == 0
    assert loaded(host) == "color=blue\n"


def test_the_built_in_services_need_no_memory_of_an_edit(world: World, host: Host) -> None:
    host.write("/etc/systemd/system/app.service", UNIT)
    site = """\
- hosts: all
  deploys:
    - files: {/etc/app.conf: {content: "color=%s\\n"}}
    - services: {app.service: {running: true, restart_on: [/etc/app.conf]}}
"""
    world.site(site % "red")
    assert apply(host).code == 0
    assert loaded(host) == "color=red\n"
    world.site(site % "blue")
    assert apply(host).code == 0
    assert loaded(host) == "color=blue\n"
    host.write("/etc/app.conf", "color=green\n")
    assert apply(host).code == 0
    assert loaded(host) == "color=blue\n"
    assert host.run(["hostwright", "plan"]).code == 0
