"""A host at rest: the daemon keeps a state that nobody touches. What the whole of it costs, and each look for drift."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator

from benchmarks.measuring import cost, cpu_s, root_of, written_bytes
from benchmarks.results import Figure
from benchmarks.session import Wrong
from benchmarks.states import State, let_drift
from benchmarks.tools.hostwright import HOSTWRIGHT, SERVICE
from benchmarks.tools.tool import SUITE
from tests.lab.host import Host
from tests.lab.lab import Lab

SCENARIO, CHECK = "at rest", "drift check"
SETTLED_S, WATCHED_S = 75.0, 200.0
"""The first minute of a daemon is not counted; then it looks for drift three times."""
LOOKS = 200
HOUR_S, DAY_S = 3600, 86400

_LOOK = """\
import sys
from agent.host.paths import Paths
from agent.trace.answers import differing
from agent.trace.rest import lines
rest = Paths().rest
print(sum(1 for _ in lines(rest)), sum(1 for _ in range(int(sys.argv[1])) for _ in differing(lines(rest))))
"""
"""What the daemon does in each drift interval, some times: prints the number of questions and of other answers."""


def measured(lab: Lab, state: State) -> Iterator[Figure]:
    """The CPU of a host at rest for an hour, and of one look. Notes say what else it takes."""
    host = lab.boot(SUITE, image=HOSTWRIGHT.image_of())
    HOSTWRIGHT.tell(host, state)
    host.run(SERVICE, timeout_s=600)
    host.run("hostwright apply", timeout_s=600)
    time.sleep(SETTLED_S)
    begun, used, written = time.monotonic(), cpu_s(host), written_bytes(host)
    time.sleep(WATCHED_S)
    passed = time.monotonic() - begun
    used, written = cpu_s(host) - used, written_bytes(host) - written
    note = f"{used / passed:.3%} of a core, {written / passed * DAY_S / 1e6:.1f} MB a day written, "
    note += f"the daemon {_resident_mb(host):.1f} MB"
    print(f"at rest: {note}", file=sys.stderr)
    yield Figure(SCENARIO, state.size, HOSTWRIGHT.name, cpu=round(used / passed * HOUR_S, 2), rounds=1, note=note)
    yield _look(host, state)


def _look(host: Host, state: State) -> Figure:
    """The mean of many looks for drift. Raises Wrong if one sees drift where there is none, or not where it is."""
    host.run("systemctl stop hostwright")
    none, many = (cost(host, _looks(times)) for times in (0, LOOKS))
    questions, found = host.read("/run/said").split()
    let_drift(root_of(host), state)
    cost(host, _looks(1))
    if int(found) or not int(host.read("/run/said").split()[1]):
        raise Wrong(f"the drift check saw {found} changes in a state that was held, or none in one that was not")
    cpu, wall = (many.cpu - none.cpu) / LOOKS, (many.wall - none.wall) / LOOKS
    print(f"drift check: {cpu * 1000:.1f} ms, {questions} questions", file=sys.stderr)
    return Figure(CHECK, state.size, HOSTWRIGHT.name, round(cpu, 4), round(wall, 4), LOOKS, f"{questions} questions")


def _looks(times: int) -> str:
    return f"/opt/hostwright/current/bin/python -I -c {shlex.quote(_LOOK)} {times}"


def _resident_mb(host: Host) -> float:
    status = host.run("cat /proc/$(systemctl show -P MainPID hostwright)/status").output
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
