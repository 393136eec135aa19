"""What a command on a booted host costs: CPU of the whole host while it runs, and time by the clock."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.lab.host import Host

TIMEOUT_S = 1800

_JOIN = """\
top=/sys/fs/cgroup; [ ! -d $top/unified ] || top=$top/unified
mkdir -p $top/measured; echo 0 > $top/measured/cgroup.procs; cd /
"""
"""Shell that takes itself into a control group of the host it entered. From there on the host's counts its CPU."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds. ``cpu`` is user and system time of every process of the host, daemons included."""

    cpu: float
    wall: float


def root_of(host: Host) -> Path:
    """The host's file system, seen from here."""
    return Path(f"/proc/{host.pid}/root")


def cpu_s(host: Host) -> float:
    """CPU seconds of all processes of the host since it booted."""
    top = root_of(host) / "sys/fs/cgroup"
    stat = (top / "unified" if (top / "unified").is_dir() else top) / "cpu.stat"
    return int(dict(line.split() for line in stat.read_text().splitlines())["usage_usec"]) / 1e6


def written_bytes(host: Host) -> int:
    """Bytes that processes of the host sent to its disk since it booted: of those that live, and of all that ended,
    which the kernel adds to the parent that waited for them, in the end init. Parents come last: who ends meanwhile is
    counted with its own."""
    init, count = psutil.Process(host.pid), 0
    for process in (*reversed(init.children(recursive=True)), init):
        with suppress(psutil.NoSuchProcess):
            count += process.io_counters().write_bytes
    return count


def cost(host: Host, command: str) -> Cost:
    """What a line of shell costs. Raises HostError unless it ends with 0."""
    begun, used = time.monotonic(), cpu_s(host)
    host.run(f"{_JOIN}exec >/run/said 2>&1 </dev/null; {command}", timeout_s=TIMEOUT_S)
    return Cost(cpu_s(host) - used, time.monotonic() - begun)
