"""The daemon is killed, hangs, or finds the clock set: it is there again, and cycles go on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, following, point, wake
from tests.stories.world import MOTD, World, until

UNIT = "hostwright.service"
CLOCK = "/run/clock"
FAKED = f"""\
[Service]
Environment=LD_PRELOAD=%s FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1
"""
SLEEPS = "import select, time; time.sleep = lambda s, wait=select.select: wait([], [], [], s) and None\n"
"""libfaketime 0.9.10 refuses the absolute monotonic sleeps of Python since 3.11."""
QUICK = "[Service]\nRestartSec=100ms\n"
IMPATIENT = "[Service]\nWatchdogSec=3s\n"
"""Only for the daemon that hangs: on a busy machine one that is well may take as long."""


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm", instruments=True)


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    return begun.world.copy(tmp_path_factory.mktemp("world") / "world")


@pytest.fixture(scope="module")
def host(lab: Lab, begun: Followed, world: World) -> Iterator[Host]:
    """Its daemon looks every two seconds, by a clock that tests set."""
    bind = f"--bind={world.served}:/srv"
    with wake(lab, begun, options=(bind,)) as host:
        point(host, "/srv/config.git")
        library = host.run("ls /usr/lib/*/faketime/libfaketime.so.1").output.strip()
        for unit in ("hostwright", "hostwright-cycle"):
            host.write(f"/etc/systemd/system/{unit}.service.d/clock.conf", FAKED % library)
        packages = host.run("ls -d /opt/hostwright/current/lib/python3*/site-packages").output.strip()
        host.write(f"{packages}/clock.pth", SLEEPS)
        host.write(f"/etc/systemd/system/{UNIT}.d/quick.conf", QUICK)
        set_clock(host, "+0")
        host.run(f"systemctl daemon-reload && systemctl enable --quiet --now {UNIT}")
        yield host


def set_clock(host: Host, to: str) -> None:
    """``to``: an offset as libfaketime takes it, like ``+10y`` (of 365 days); units that run see it at once."""
    host.write(CLOCK, f"{to}\n")


def daemon(host: Host) -> int:
    return int(host.run(f"systemctl show -P MainPID {UNIT}").output)


def follows(world: World, host: Host, text: str) -> None:
    """A new commit reaches the host by itself."""
    world.site(MOTD.replace("from", f"{text} from"))
    until(lambda: host.read("/etc/motd") == f"hello {text} from web1\n", f"{text} is applied")


def test_a_killed_daemon_is_there_again(world: World, host: Host) -> None:
    before = daemon(host)
    host.run(f"kill -KILL {before}")
    until(lambda: daemon(host) not in (0, before), "another daemon")
    follows(world, host, "killed")


def test_a_daemon_that_hangs_is_ended_by_the_watchdog(world: World, host: Host) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.d/impatient.conf"
    host.write(drop_in, IMPATIENT)
    host.run(f"systemctl daemon-reload && systemctl restart {UNIT}")
    before = daemon(host)
    host.run(f"kill -STOP {before}")
    until(lambda: daemon(host) not in (0, before), "another daemon")
    host.run(f"rm {drop_in} && systemctl daemon-reload")
    assert "watchdog" in host.run(f"journalctl -u {UNIT} -o cat --no-pager").output.lower()
    follows(world, host, "hung")


def test_a_cycle_does_not_end_with_the_daemon_that_asked_for_it(world: World, host: Host) -> None:
    script = "echo $$ > /run/slow; until test -e /run/go; do sleep 0.1; done"
    command = f"{{slow: {{run: [sh, -c, '{script}'], creates: /never}}}}"
    world.site(f"{MOTD}    - {{name: slow, deploy: command, with: {command}}}\n")
    until(lambda: host.run("test -s /run/slow", check=False).code == 0, "the deploy is running")
    before = daemon(host)
    host.run(f"kill -KILL {before}")
    until(lambda: daemon(host) not in (0, before), "another daemon")
    assert host.run("kill -0 $(cat /run/slow)", check=False).code == 0
    host.run("touch /run/go")
    follows(world, host, "after")


@pytest.mark.parametrize("years", [10, -20, 0])
def test_a_clock_that_jumps_stops_nothing(world: World, host: Host, years: int) -> None:
    set_clock(host, f"{years:+}y")
    follows(world, host, f"at {years:+}")
    ahead_s = years * 365 * 86400
    until(lambda: abs(world.report("web1")["at"] - time.time() - ahead_s) < 3600, "a report by that clock")
