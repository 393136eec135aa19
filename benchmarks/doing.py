"""What putting a host right costs, by two versions of the agent: ``python -m benchmarks.doing OLD NEW``.

OLD and NEW name commits of this repository, as for ``benchmarks.looking``. Each version repairs the same damage on a
host of its own, turn by turn. Calls are counted in one run more, under strace.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.looking import ROUNDS, host_with, repository_in
from benchmarks.measuring import Cost, cost
from benchmarks.states import TREE
from tests.lab.host import Host
from tests.lab.images import derived
from tests.lab.installed import _INSTRUMENTS, _dependencies
from tests.lab.lab import Lab

DAMAGES = {"one file repaired": f"echo drifted >> {TREE}/5/5", f"{TREE} made anew": f"rm -rf {TREE}"}

CALLS = ("fsync", "fdatasync", "syncfs", "openat")

_COUNT = f"strace -f -c -o /run/calls -e trace={','.join(CALLS)} hostwright apply"


def measured(hosts: Mapping[str, Host], damage: str) -> Iterator[tuple[str, list[float]]]:
    """By figure, that of each host: the median of some rounds, and of calls the number."""
    costs: dict[str, list[Cost]] = {commit: [] for commit in hosts}
    for _ in range(ROUNDS):
        for commit, host in hosts.items():
            host.run(damage)
            costs[commit].append(cost(host, "hostwright apply"))
    yield "CPU s", [statistics.median(each.cpu for each in found) for found in costs.values()]
    yield "wall s", [statistics.median(each.wall for each in found) for found in costs.values()]
    counts = [calls(host, damage) for host in hosts.values()]
    for call in CALLS:
        yield call, [found[call] for found in counts]


def calls(host: Host, damage: str) -> dict[str, float]:
    """How often a repair calls each of CALLS."""
    host.run(damage)
    host.run(f"{_COUNT} >/dev/null")
    table = host.read("/run/calls")
    found = {call: re.search(rf"^ *\S+ +\S+ +\S+ +(\d+) .*\b{call}$", table, re.MULTILINE) for call in CALLS}
    return {call: float(line[1]) if line else 0 for call, line in found.items()}


def main(old: str, new: str) -> None:
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        repository = repository_in(lab, Path(folder))
        base = derived("bookworm-instruments", _dependencies("bookworm"), _INSTRUMENTS)
        hosts = {commit: host_with(lab, commit, repository, base) for commit in (old, new)}
        for name, damage in DAMAGES.items():
            print(f"{name:32}{old[:12]:>14}{new[:12]:>14}")
            for figure, (before, after) in measured(hosts, damage):
                print(f"    {figure:28}{before:14.2f}{after:14.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
