"""The daemon as a process: real signals, the real socket, cycles that are real (and empty) programs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.control import Caller, ask
from agent.daemon import Daemon
from agent.domain.memory import FleetSettings, State
from agent.host.paths import Paths
from agent.host.state import Memory

PROGRAM = """
import subprocess, sys
from pathlib import Path
from agent.daemon import Daemon
from agent.host.paths import Paths
from agent.host.state import Memory

root, cycle = Path(sys.argv[1]), sys.argv[2]
paths = Paths(root)
Daemon(
    paths=paths,
    memory=Memory(paths),
    start=lambda: subprocess.Popen([sys.executable, "-c", cycle, str(root)]),
    owns_cycle=True,
).run()
"""

COUNTING = "import sys; open(sys.argv[1] + '/ran', 'a').write('x'); sys.exit(7)"
SLOW = "import sys, time; open(sys.argv[1] + '/ran', 'a').write('x'); time.sleep(600)"
PATIENCE_S = 20.0


class Running:
    """A daemon over a folder that stands for a host."""

    def __init__(self, root: Path, cycle: str, env: dict[str, str]) -> None:
        self.paths = Paths(root)
        self.ran = root / "ran"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), cycle], env={**os.environ, **env}, start_new_session=True
        )

    @property
    def cycles(self) -> int:
        return len(self.ran.read_text()) if self.ran.exists() else 0

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it did not happen in time"
            assert self.process.poll() is None, "the daemon ended"
            time.sleep(0.02)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def begin(cycle: str = COUNTING, *, every_s: int = 3600, **env: str) -> Running:
        paths = Paths(tmp_path)
        paths.var.mkdir(parents=True, exist_ok=True)
        paths.run.mkdir(parents=True, exist_ok=True)
        Memory(paths).keep_state(State(fleet=FleetSettings(fetch_s=every_s, drift_s=every_s)))
        started.append(Running(tmp_path, cycle, env))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


def test_a_cycle_runs_as_soon_as_the_daemon_starts(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)


def test_the_clock_starts_one_cycle_after_the_other(start: Start) -> None:
    daemon = start(every_s=1)
    daemon.until(lambda: daemon.cycles >= 3)


def test_a_person_who_waits_is_told_how_the_cycle_ended(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    assert ask(daemon.paths.control, wait=True, timeout_s=PATIENCE_S) == {"ok": True, "exit": 7}
    assert daemon.cycles == 2


def test_sighup_asks_for_a_cycle(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles == 2)


def test_two_cycles_never_run_at_once(start: Start) -> None:
    daemon = start(SLOW, every_s=1)
    daemon.until(lambda: daemon.cycles == 1)
    ask(daemon.paths.control, wait=False, timeout_s=PATIENCE_S)
    time.sleep(1.5)
    assert daemon.cycles == 1


def test_sigterm_ends_the_daemon_and_the_cycle_that_it_owns(start: Start) -> None:
    daemon = start(SLOW)
    daemon.until(lambda: daemon.cycles == 1)
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE_S) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(daemon.process.pid, 0)


def test_a_caller_who_says_nothing_does_not_stop_the_clock(start: Start) -> None:
    daemon = start(every_s=1)
    daemon.until(lambda: daemon.cycles == 1)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(str(daemon.paths.control))
        before = daemon.cycles
        daemon.until(lambda: daemon.cycles >= before + 2)


def test_a_state_that_cannot_be_read_does_not_stop_the_clock(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    daemon.paths.document("state").write_text("{")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles == 2)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Stands where systemd listens for sd_notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE_S)
        yield listener


def heard(manager: socket.socket, wanted: bytes) -> None:
    while manager.recv(4096) != wanted:
        pass


def test_systemd_hears_that_it_is_ready_and_that_it_lives(start: Start, manager: socket.socket) -> None:
    start(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="200000")
    heard(manager, b"READY=1")
    heard(manager, b"WATCHDOG=1")
    heard(manager, b"WATCHDOG=1")


def test_the_settings_of_a_new_commit_change_the_rhythm(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    Memory(daemon.paths).keep_state(State(fleet=FleetSettings(fetch_s=1, drift_s=3600)))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles >= 4)


def test_the_shortest_of_the_three_intervals_counts(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    Memory(daemon.paths).keep_state(State(fleet=FleetSettings(fetch_s=3600, drift_s=3600, plan_s=1)))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles >= 4)


def test_a_cycle_that_cannot_be_started_does_not_end_the_daemon(tmp_path: Path) -> None:
    def refuse() -> subprocess.Popen[bytes]:
        raise BlockingIOError("no process left")

    here, there = socket.socketpair()
    with there:
        caller = Caller(here, wait=True)
        daemon = Daemon(Paths(tmp_path), Memory(Paths(tmp_path)), refuse, owns_cycle=True, callers=[caller])
        daemon._begin()
        assert (daemon.cycle, daemon.waiting, json.loads(there.recv(4096))["ok"]) == (None, [], False)


def test_the_daemon_s_own_modules_are_few() -> None:
    """It is to stay small: none of the large libraries may come with it."""
    script = "import json, sys, agent.daemon; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert (
        loaded & {"pyinfra", "git", "pydantic", "jinja2", "cryptography", "rich", "click", "psutil", "paramiko"}
        == set()
    )
