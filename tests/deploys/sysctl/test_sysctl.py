"""On a host with a network of its own: there /proc/sys/net is its own, and it may write to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploys.on_host import PYTHON, Deploys
from tests.lab.lab import Lab

pytestmark = pytest.mark.booted

FORWARD = "net.ipv4.ip_forward"
WANTED = {FORWARD: 1, "net.ipv4.ip_local_port_range": "1024 65000"}
FILE = "/etc/sysctl.d/90-hostwright.conf"


@pytest.fixture(scope="module")
def deploys(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Deploys]:
    with lab.boot(request.param, image="agent") as host:
        yield Deploys(host)


def value(deploys: Deploys, path: str) -> str:
    return deploys.host.read(f"/proc/sys/{path}").strip()


def test_settings_come_stay_and_are_put_back(deploys: Deploys) -> None:
    changes = deploys.converge("sysctl", WANTED)
    assert changes[0] == f"sysctl:{FORWARD} | set to 1 (was 0), write it to our file for the next boot"
    assert value(deploys, "net/ipv4/ip_forward") == "1"
    assert value(deploys, "net/ipv4/ip_local_port_range").split() == ["1024", "65000"]
    assert deploys.plan("sysctl", WANTED).changes == ()
    for by_hand, repair in (
        ("echo 0 > /proc/sys/net/ipv4/ip_forward", "set to 1 (was 0)"),
        (f"sed -i 's/ip_forward = 1/ip_forward = 0/' {FILE}", "write it to our file for the next boot"),
    ):
        deploys.host.run(by_hand)
        assert deploys.converge("sysctl", WANTED) == (f"sysctl:{FORWARD} | {repair}",), by_hand


def test_what_is_in_the_file_is_what_the_host_boots_with(deploys: Deploys) -> None:
    deploys.converge("sysctl", WANTED)
    deploys.host.run("echo 0 > /proc/sys/net/ipv4/ip_forward")
    deploys.host.run("/usr/lib/systemd/systemd-sysctl || /lib/systemd/systemd-sysctl", check=False)
    assert value(deploys, "net/ipv4/ip_forward") == "1"


def test_an_unknown_setting_cannot_be_planned(deploys: Deploys) -> None:
    (change,) = deploys.plan("sysctl", {"net.ipv4.nonesuch": 1}).changes
    assert "the kernel of this host has no net.ipv4.nonesuch" in change


def test_a_setting_that_the_host_may_not_write_says_so(deploys: Deploys) -> None:
    told = deploys.apply("sysctl", {"kernel.pid_max": 99999})
    assert "kernel.pid_max cannot be set to 99999" in told.failed["sysctl:kernel.pid_max"]
    deploys.host.run(f"sed -i /kernel.pid_max/d {FILE}")


def test_one_that_a_later_file_undoes_fails_and_says_where(deploys: Deploys) -> None:
    deploys.host.write("/etc/sysctl.d/99-mine.conf", f"{FORWARD} = 0\n")
    told = deploys.apply("sysctl", WANTED)
    assert "/etc/sysctl.d/99-mine.conf sets it to 0 at the next boot" in told.failed[f"sysctl:{FORWARD}"]
    deploys.host.run("rm /etc/sysctl.d/99-mine.conf")
    assert deploys.plan("sysctl", WANTED).changes == ()


REMOVE = f"""
from agent.deploys.kind import kind_named
from agent.domain.ownership import LedgerEntry, Origin
kind = kind_named("sysctl")
entry = LedgerEntry("sysctl:{FORWARD}", "sysctl", 0, Origin.CREATED, left=kind.look("{FORWARD}").state)
print(dict(kind.remove([entry], purge=False)), kind.look("{FORWARD}"))
"""


def test_one_that_left_git_is_as_before(deploys: Deploys) -> None:
    deploys.converge("sysctl", WANTED)
    assert deploys.host.run([PYTHON, "-I", "-c", REMOVE]).output == "{} None\n"
    assert value(deploys, "net/ipv4/ip_forward") == "0"
    assert FORWARD not in deploys.host.read(FILE)
