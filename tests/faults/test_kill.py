"""SIGKILL at any moment of a cycle, and at each call after which the disk is another one: nothing is half written,
nothing is forgotten, and the next cycle makes it good.

    bash tests/run --long -- -rA tests/faults/test_kill.py  the long forms; HOSTWRIGHT_KILL_SEED repeats one
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import following, point, wake
from tests.stories.world import World

DRIVER = Path(__file__).with_name("killing.py")
PYTHON = "/opt/hostwright/current/bin/python"

FEW = 6
MANY = 500
CALLS = 320
"""More calls of this kind than any process of such a cycle makes."""

LONG_S = 3 * 3600

_ASKED = os.environ.get("HOSTWRIGHT_KILL_SEED")
"""Read before any test begins: no test sees the environment of who runs it."""


@pytest.fixture(scope="module")
def host(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Host:
    begun = following(lab, "bookworm", instruments=True)
    host = wake(lab, begun)
    ready(host, begun.world.copy(tmp_path_factory.mktemp("world") / "world"))
    return host


def ready(host: Host, world: World) -> None:
    """For the driver: the host holds the repository that it follows, and a working copy of that."""
    world.commit("Settle at once", {"inventories/lab/fleet.yaml": "schedule: {settle: 0s, fetch: 1h, drift: 1h}\n"})
    host.push(world.bare, "/srv/config.git")
    host.run("git clone -q /srv/config.git /srv/work && mkdir /etc/lab")
    host.write("/root/killing.py", DRIVER.read_text())
    point(host, "/srv/config.git")


def killed(host: Host, *arguments: object) -> int:
    """Runs the driver; how many cycles it killed. Mode, seed and counts are printed: pytest shows them with -rA, and
    where it fails, with the rounds that went wrong."""
    sys.stdout.write(f"killing.py {' '.join(map(str, arguments))}\n")
    done = host.run([PYTHON, "-I", "/root/killing.py", *map(str, arguments)], check=False, timeout_s=LONG_S)
    rounds = [json.loads(line) for line in done.output.splitlines()]
    wrong = [each for each in rounds[:-1] if each["wrong"]]
    sys.stdout.write(f"{rounds[-1]}\n")
    assert done.code == 0, f"{wrong[:3]}\n{done.error[-2000:]}"
    return int(rounds[-1]["killed"])


def seed(ordinary: int | None = None) -> int:
    """What was asked for, or ``ordinary``. None: another one each time."""
    return int(_ASKED or ordinary or random.SystemRandom().randrange(1 << 32))


@pytest.mark.timeout(900)
def test_a_cycle_can_be_killed_at_any_moment(host: Host) -> None:
    assert killed(host, "random", seed(1), FEW) == FEW


@pytest.mark.parametrize("first", [1, pytest.param(9, marks=pytest.mark.long)])
def test_a_cycle_can_be_killed_before_any_call_that_changes_the_disk(host: Host, first: int) -> None:
    assert killed(host, "boundaries", first, 23, 4) >= 2


@pytest.mark.long
@pytest.mark.timeout(LONG_S)
def test_a_cycle_can_be_killed_at_hundreds_of_moments(host: Host) -> None:
    assert killed(host, "random", seed(), MANY) == MANY


@pytest.mark.long
@pytest.mark.timeout(LONG_S)
def test_a_cycle_can_be_killed_before_every_call_that_changes_the_disk(host: Host) -> None:
    assert killed(host, "boundaries", 1, 1, CALLS) > CALLS // 5
