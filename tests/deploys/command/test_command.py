from __future__ import annotations

import pytest

from tests.deploys.on_host import Deploys

pytestmark = pytest.mark.booted


def test_what_is_not_there_yet_is_brought_about_and_again_when_it_is_gone(deploys: Deploys) -> None:
    wanted = {
        "made": {"run": ["touch", "/etc/made"], "creates": "/etc/made"},
        "line": {"shell": "echo x >> /etc/lines", "unless": ["grep", "-q", "x", "/etc/lines"]},
    }
    assert deploys.converge("command", wanted) == (
        "command:made | run: touch /etc/made",
        "command:line | run in a shell: echo x >> /etc/lines",
    )
    assert deploys.plan("command", wanted).changes == ()
    deploys.host.run("rm /etc/made /etc/lines")
    assert len(deploys.converge("command", wanted)) == 2
    assert deploys.host.read("/etc/lines") == "x\n"


def test_one_without_a_condition_runs_once_whatever_becomes_of_the_others(deploys: Deploys) -> None:
    once = {"shell": "echo once >> /root/once"}
    told = deploys.apply("command", {"once": once, "fails": {"run": ["false"]}, "after": {"run": ["true"]}})
    assert told.succeeded == ("command:once",)
    assert told.failed == {
        "command:fails": "ended with status 1, and wrote nothing",
        "command:after": "not run, because fails failed before it",
    }
    assert deploys.converge("command", {"once": once, "other": {"run": ["true"]}}) == ("command:other | run: true",)
    assert deploys.host.read("/root/once") == "once\n"
    assert deploys.converge("command", {"once": {**once, "env": {"AGAIN": "1"}}}) != ()
    assert deploys.host.read("/root/once") == "once\nonce\n"


def test_it_runs_as_somebody_else(deploys: Deploys) -> None:
    deploys.host.run("id -u worker || useradd --create-home worker")
    wanted = {"who": {"shell": "id -un > ~/who", "user": "worker", "cwd": "/home/worker"}}
    deploys.converge("command", wanted)
    assert deploys.host.run("cat /home/worker/who; stat -c %U /home/worker/who").output == "worker\nworker\n"
