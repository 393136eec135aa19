"""A host at rest: the daemon keeps a state that nobody touches. What the whole of it costs, and each look for drift."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import cost, cpu_s, root_of, written_bytes
from benchmarks.results import Figure
from benchmarks.session import Wrong
from benchmarks.states import State, let_drift
from benchmarks.tools.hostwright import ADMITTED, HOSTWRIGHT, REMOTE, service
from benchmarks.tools.tool import SUITE
from tests.gitserver import ssh_server
from tests.lab.host import Host
from tests.lab.lab import Lab

KNOWN_HOSTS, DEPLOY_KEY = "/root/known_hosts", "/etc/hostwright/deploy_key"

SCENARIO, CHECK = "at rest", "drift check"
SETTLED_S, WATCHED_S = 75.0, 300.0
"""The first minute of a daemon is not counted; then it asks the remote and looks for drift five times."""
LOOKS = 10_000
"""A week of them. One more comes first, so that all is loaded."""
HOUR_S, DAY_S = 3600, 86400

PLANS = 2
"""Whole plans in an hour, each with the report of half an hour."""
_REPORTING = "rm -f /var/lib/hostwright/sent.json; hostwright apply"

_LOOK = """\
import sys
from agent.host.paths import Paths
from agent.trace.glance import Glance
from agent.trace.rest import lines, read
rest, glance = Paths().rest, Glance()
def look(): return len(glance.differing(rest, 20)) if read(rest).is_current() else 1
def resident_kb(): return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])
found, before = look(), resident_kb()
found += sum(look() for _ in range(int(sys.argv[1])))
print(sum(1 for _ in lines(rest)), found, resident_kb() - before)
"""
"""What the daemon does in each drift interval, once and some times more: prints the number of questions and of other
answers, and by how many kB those times made the process grow."""


def measured(lab: Lab, state: State) -> Iterator[Figure]:
    """The CPU of a host at rest for an hour, and of one look. Notes say what else it takes. The remote is asked by ssh;
    its sshd runs beside the host, and is not counted."""
    host = lab.boot(SUITE, image=HOSTWRIGHT.image_of(), disk=True)  # in memory nothing would be written
    HOSTWRIGHT.tell(host, state)
    with tempfile.TemporaryDirectory() as folder, ssh_server(Path(folder)) as server:
        host.reach(server.port)
        host.push(server.known_hosts, KNOWN_HOSTS)
        host.push(server.client_key, DEPLOY_KEY)
        remote = Path(folder) / "remote.git"
        _fetch(host, remote)
        host.run(f"{service(server.url(remote))} --known-hosts {KNOWN_HOSTS}", timeout_s=600)
        host.run(ADMITTED)
        _fetch(host, remote)
        host.run("hostwright apply", timeout_s=600)
        time.sleep(SETTLED_S)
        begun, used, written = time.monotonic(), cpu_s(host), written_bytes(host)
        time.sleep(WATCHED_S)
        passed = time.monotonic() - begun
        used, written = (cpu_s(host) - used) / passed, (written_bytes(host) - written) / passed
        resident = _resident_mb(host)
        before = written_bytes(host)
        plan = cost(host, _REPORTING).cpu
        written += (written_bytes(host) - before) * PLANS / HOUR_S
        print(f"at rest: {used:.3%} between plans; a plan with its report {plan:.2f} s", file=sys.stderr)
        hour = used * HOUR_S + plan * PLANS
        note = (
            f"{hour / HOUR_S:.3%} of a core, {written * DAY_S / 1e6:.1f} MB a day written, the daemon {resident:.1f} MB"
        )
        yield Figure(SCENARIO, state.size, HOSTWRIGHT.name, cpu=round(hour, 2), rounds=1, note=note)
        yield _look(host, state)


def _fetch(host: Host, remote: Path) -> None:
    """What the host's administrator has pushed, in the repository of this machine."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", remote], check=True)
    host.run(f"git -C {REMOTE} bundle create -q /srv/pushed main")
    pushed = root_of(host) / "srv/pushed"
    subprocess.run(["git", "-C", remote, "fetch", "-q", f"{pushed}", "main:main"], check=True)


def _look(host: Host, state: State) -> Figure:
    """The mean of many looks for drift. Raises Wrong if one sees drift where there is none, or not where it is."""
    host.run("systemctl stop hostwright")
    none, many = (cost(host, _looks(times)) for times in (0, LOOKS))
    questions, found, grown_kb = host.read("/run/said").split()
    let_drift(root_of(host), state)
    cost(host, _looks(0))
    if int(found) or not int(host.read("/run/said").split()[1]):
        raise Wrong(f"the drift check saw {found} changes in a state that was held, or none in one that was not")
    cpu, wall = (many.cpu - none.cpu) / LOOKS, (many.wall - none.wall) / LOOKS
    note = f"{questions} questions; after {LOOKS:,} looks {grown_kb} kB more"
    print(f"drift check: {cpu * 1000:.1f} ms, {note}", file=sys.stderr)
    return Figure(CHECK, state.size, HOSTWRIGHT.name, round(cpu, 4), round(wall, 4), LOOKS, note)


def _looks(times: int) -> str:
    return f"/opt/hostwright/current/bin/python -I -c {shlex.quote(_LOOK)} {times}"


def _resident_mb(host: Host) -> float:
    status = host.run("cat /proc/$(systemctl show -P MainPID hostwright)/status").output
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
