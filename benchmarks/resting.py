"""What a host at rest costs: ``python -m benchmarks.resting MINUTES``. Measures the commit that is checked out.

The host has the 1,207 resources of ``benchmarks.looking``. Its daemon asks about them in each ``drift`` interval, and
the remote in each ``fetch`` interval; both are 60 s.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.looking import PACKAGES, host_with, site
from tests.gitserver import ConfigRepo
from tests.lab.host import Host
from tests.lab.lab import Lab

ROUNDS = 200
SETTLED_S = 60
"""For the first cycle of a daemon that has just started."""

_CHECK = """\
import os, sys, time
from pathlib import Path
from agent.host.paths import Paths
from agent.trace.answers import differing
from agent.trace.rest import lines, read
rest = Paths().rest
count = sum(1 for _ in lines(rest))
before = os.times()
for _ in range(int(sys.argv[1])):
    found = list(differing(lines(rest)))
after = os.times()
own = after.user + after.system - before.user - before.system
children = after.children_user + after.children_system - before.children_user - before.children_system
print(count, len(found), own / int(sys.argv[1]), children / int(sys.argv[1]))
"""


def cpu_s(host: Host, pid: str = "[0-9]*") -> float:
    """CPU seconds of a process and those that it waited for; by default of all processes of the host."""
    lines = host.run(f"cat /proc/{pid}/stat 2>/dev/null; true").output.splitlines()
    return sum(sum(map(int, line.rpartition(")")[2].split()[11:15])) for line in lines) / 100


def resident_mb(host: Host) -> float:
    pid = host.run(["systemctl", "show", "-P", "MainPID", "hostwright"]).output.strip()
    status = host.run(["cat", f"/proc/{pid}/status"]).output
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main(minutes: int) -> None:
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        bare = lab.boot("bookworm", image="ready")
        packages = bare.run(["dpkg-query", "--show", "--showformat=${Package}\\n"]).output.split()[:PACKAGES]
        config = ConfigRepo(Path(folder) / "config")
        files = {"hosts.yaml": "all: {hosts: {web1: {}}}\n", "fleet.yaml": "schedule: {settle: 0s}\n"}
        files["site.yaml"] = site(packages)
        config.commit("Begin", {f"inventories/lab/{name}": text for name, text in files.items()})
        host = host_with(lab, "HEAD", config.bare(Path(folder) / "config.git"))
        host.run("hostwright cycle >/dev/null")
        python = "/opt/hostwright/current/bin/python"
        count, found, own, children = host.run([python, "-I", "-c", _CHECK, str(ROUNDS)]).output.split()
        print(f"{count} questions, {found} other answers: {float(own) * 1e3:.1f} ms of CPU")
        print(f"programs that are asked: {float(children) * 1e3:.1f} ms of CPU")
        host.run("systemctl start hostwright")
        time.sleep(SETTLED_S)
        print(host.run("journalctl -u hostwright --no-pager -o cat | tail -5").output)
        daemon = host.run(["systemctl", "show", "-P", "MainPID", "hostwright"]).output.strip()
        begun, all_before, before = time.monotonic(), cpu_s(host), cpu_s(host, daemon)
        time.sleep(60 * minutes)
        took = time.monotonic() - begun
        print(f"daemon and git: {100 * (cpu_s(host, daemon) - before) / took:.4f} % of a core")
        print(f"the whole host: {100 * (cpu_s(host) - all_before) / took:.4f} % of a core")
        print(f"daemon resident {resident_mb(host):.1f} MB")
        print(host.run(f"grep bytes /proc/{daemon}/io").output)
        print(host.run("journalctl -u hostwright --no-pager -o cat | tail -5").output)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
