"""The power is lost at any moment of a cycle, and with it all that no disk had: the host comes up, and the next cycle
makes it good.

    bash tests/run --long -- tests/faults/test_power.py     the long form; HOSTWRIGHT_KILL_SEED repeats one
"""

from __future__ import annotations

import json
import random
import sys
import time

import pytest

from tests.faults.test_kill import LONG_S, PYTHON, ready, seed
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import following, wake

FEW, MANY = 3, 100
CYCLE_S = 4.0
"""Longer than such a cycle takes: some cuts come when it is over, and then nothing of it may be lost."""

STATE = "/var/lib/hostwright"


@pytest.fixture(scope="module")
def host(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Host:
    begun = following(lab, "bookworm")
    # The Git server has a disk of its own.
    served = tmp_path_factory.mktemp("served")
    host = wake(lab, begun, options=(f"--bind={served}:/srv",), disk=True)
    host.run("systemctl disable --quiet hostwright.service")  # the cycles after a boot are those that the test asks for
    ready(host, begun.world.copy(tmp_path_factory.mktemp("world") / "world"))
    return host


def driver(host: Host, *arguments: object) -> str:
    return host.run([PYTHON, "-I", "/root/killing.py", *map(str, arguments)]).output


def cut_and_heal(host: Host, rounds: int, drawn_from: int) -> list[str]:
    """What was wrong after any of the cuts."""
    sys.stdout.write(f"{rounds} cuts of power, seed {drawn_from}\n")  # pytest shows it where it fails
    rng = random.Random(drawn_from)
    driver(host, "begin", 1)
    host.run("systemctl start hostwright-cycle")  # waits for the cycle that was begun, also where it is only queued
    assert json.loads(driver(host, "end", 1)) == []
    wrong: list[str] = []
    for number in range(2, rounds + 2):
        moment = rng.uniform(0, CYCLE_S)
        driver(host, "begin", number)
        time.sleep(moment)
        host.lose_power()
        host.boot()
        wrong += (f"round {number}, cut at {moment:.3f} s: {each}" for each in json.loads(driver(host, "end", number)))
    return wrong


def test_what_was_not_synced_is_lost(host: Host) -> None:
    host.run(f"echo kept >{STATE}/kept && sync {STATE}/kept && sync && echo lost >{STATE}/lost")
    host.lose_power()
    host.boot()
    assert host.run(f"cd {STATE} && cat kept; cat lost; rm -f kept lost", check=False).output == "kept\n"


def test_the_power_can_be_lost_at_any_moment_of_a_cycle(host: Host) -> None:
    assert cut_and_heal(host, FEW, seed(1)) == []


@pytest.mark.long
@pytest.mark.timeout(LONG_S)
def test_the_power_can_be_lost_a_hundred_times(host: Host) -> None:
    assert cut_and_heal(host, MANY, seed()) == []
