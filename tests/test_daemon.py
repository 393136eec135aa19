"""The daemon as a process: real signals, the real socket, cycles that are real (and empty) programs."""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.control import Caller, trigger_cycle
from agent.daemon import Daemon
from agent.domain.question import Question, QuestionKind
from agent.host.paths import Paths
from agent.trace.answers import trace
from agent.trace.rest import PASSED, Rest, write
from agent.trace.watch import DEBOUNCE_S

PROGRAM = """
import subprocess, sys
from pathlib import Path
from agent.daemon import Daemon
from agent.host.paths import Paths

root, cycle = Path(sys.argv[1]), sys.argv[2]
paths = Paths(root)
Daemon(
    paths=paths,
    start=lambda: subprocess.Popen([sys.executable, "-c", cycle, str(root)]),
    owns_cycle=True,
).run()
"""

COUNTING = "import sys; open(sys.argv[1] + '/ran', 'a').write('x'); sys.exit(7)"
RESTING = """
import sys, time
from pathlib import Path
from agent.domain.question import Question, QuestionKind
from agent.trace.answers import trace
from agent.trace.rest import Rest, offered, write

root = Path(sys.argv[1])
open(root / "ran", "a").write("x")
lasts_s = float((root / "lasts").read_text()) if (root / "lasts").exists() else 3600
write(
    root / "run/hostwright/rest",
    Rest(
        int(time.time() + lasts_s),
        fetch_s=int((root / "every").read_text()) if (root / "every").exists() else 1,
        drift_s=int((root / "every").read_text()) if (root / "every").exists() else 1,
        plan_s=3600,
        watch=(root / "watch").exists(),
        remote_command=(["cat", str(root / "offered")], {"PATH": "/bin"}, 60),
        offered=offered((root / ("seen" if (root / "seen").exists() else "offered")).read_bytes()),
        checks_command=(["cat", str(root / "checks")], {"PATH": "/bin"}, 60) if (root / "checks").exists() else None,
    ),
    trace([Question(QuestionKind.PATH, str(root / "owned"))]),
)
"""
"""A cycle that leaves a host at rest."""
SLOW = "import sys, time; open(sys.argv[1] + '/ran', 'a').write('x'); time.sleep(600)"
PATIENCE_S = 60.0


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


def put(file: Path, text: str) -> None:
    """Changes it at once: no daemon sees it empty."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.replace(file)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def begin(cycle: str = COUNTING, *, every_s: int = 3600, **env: str) -> Running:
        paths = Paths(tmp_path)
        paths.var.mkdir(parents=True, exist_ok=True)
        paths.run.mkdir(parents=True, exist_ok=True)
        write(paths.rest, Rest(fetch_s=every_s, drift_s=every_s))
        started.append(Running(tmp_path, cycle, env))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(30)


def test_a_cycle_runs_as_soon_as_the_daemon_starts(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)


def test_the_clock_starts_one_cycle_after_the_other(start: Start) -> None:
    daemon = start(every_s=1)
    daemon.until(lambda: daemon.cycles >= 3)


def test_a_person_who_waits_is_told_how_the_cycle_ended(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    assert trigger_cycle(daemon.paths.control, wait=True, timeout_s=PATIENCE_S) == {"ok": True, "exit": 7}
    assert daemon.cycles == 2


def test_sighup_asks_for_a_cycle(start: Start) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles == 2)


def test_two_cycles_never_run_at_once(start: Start) -> None:
    daemon = start(SLOW, every_s=1)
    daemon.until(lambda: daemon.cycles == 1)
    trigger_cycle(daemon.paths.control, wait=False, timeout_s=PATIENCE_S)
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


@pytest.mark.parametrize("content", ["", "{", "[]\n", '{"until": "soon"}\n'])
def test_a_rest_that_cannot_be_read_does_not_stop_the_clock(start: Start, content: str) -> None:
    daemon = start()
    daemon.until(lambda: daemon.cycles == 1)
    put(daemon.paths.rest, content)
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


def test_the_schedule_that_a_cycle_leaves_changes_the_rhythm(start: Start) -> None:
    faster = (
        "import sys; from agent.trace.rest import *; write(Path(sys.argv[1]) / 'run/hostwright/rest', Rest(plan_s=1))"
    )
    daemon = start(f"{faster}; {COUNTING}")
    daemon.until(lambda: daemon.cycles >= 3)


@pytest.fixture
def resting(start: Start, tmp_path: Path) -> Running:
    """A daemon whose first cycle has left the host at rest, and that has asked the remote once."""
    (tmp_path / "owned").write_text("as wanted")
    (tmp_path / "offered").write_text("aaa\trefs/heads/main\n")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles == 1 and daemon.paths.rest.exists())
    time.sleep(2.5)
    assert daemon.cycles == 1
    return daemon


def test_a_host_at_rest_gets_no_cycle_until_something_differs(resting: Running, tmp_path: Path) -> None:
    put(tmp_path / "owned", "by hand")
    resting.until(lambda: resting.cycles == 2)
    time.sleep(2.5)
    assert resting.cycles == 2


def test_a_watched_host_is_looked_at_as_soon_as_something_changes(start: Start, tmp_path: Path) -> None:
    (tmp_path / "watch").touch()
    (tmp_path / "offered").write_text("aaa\trefs/heads/main\n")
    (tmp_path / "every").write_text("3600")
    (tmp_path / "owned").write_text("as wanted")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles == 1)
    daemon.until(daemon.paths.rest.exists)
    time.sleep(1)
    (tmp_path / "beside").touch()
    time.sleep(1)
    assert daemon.cycles == 1
    put(tmp_path / "owned", "by hand")
    daemon.until(lambda: daemon.cycles == 2)


def test_a_push_starts_one_cycle(resting: Running, tmp_path: Path) -> None:
    put(tmp_path / "offered", "bbb\trefs/heads/main\n")
    resting.until(lambda: resting.cycles == 2)
    time.sleep(2.5)
    assert resting.cycles == 2


def test_a_remote_that_does_not_answer_is_asked_by_a_cycle(resting: Running, tmp_path: Path) -> None:
    (tmp_path / "offered").unlink()
    resting.until(lambda: resting.cycles == 2)


def test_a_commit_that_a_cycle_has_fetched_already_starts_no_other(start: Start, tmp_path: Path) -> None:
    (tmp_path / "owned").touch()
    (tmp_path / "offered").write_text("aaa\trefs/heads/main\n")
    (tmp_path / "every").write_text("3600")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles == 1)
    daemon.until(daemon.paths.rest.exists)
    (tmp_path / "every").unlink()  # the next cycle leaves a rest in which the remote is asked
    put(tmp_path / "offered", "bbb\trefs/heads/main\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles == 2)
    time.sleep(2.5)
    assert daemon.cycles == 2


@pytest.mark.parametrize("answer", [b"web: http: no answer\n", b"", None], ids=["failing", "no word", "no program"])
def test_a_health_check_that_does_not_pass_starts_a_cycle(start: Start, tmp_path: Path, answer: bytes | None) -> None:
    (tmp_path / "checks").write_bytes(PASSED)
    (tmp_path / "owned").touch()
    (tmp_path / "offered").write_bytes(b"a\trefs/heads/main\n")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles == 1 and daemon.paths.rest.exists())
    time.sleep(2.5)
    assert daemon.cycles == 1
    if answer is None:
        (tmp_path / "checks").unlink()
    else:
        (tmp_path / "checks").write_bytes(answer)
    daemon.until(lambda: daemon.cycles == 2)


@pytest.mark.parametrize("whom", ["remote", "health checks"])
def test_that_nobody_answers_is_said_once(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str], whom: str
) -> None:
    (tmp_path / "owned").touch()
    (tmp_path / "seen").write_bytes(b"a\trefs/heads/main\n")
    (tmp_path / "offered").write_bytes(b"" if whom == "remote" else b"a\trefs/heads/main\n")
    (tmp_path / "checks").write_bytes(PASSED if whom == "remote" else b"")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles >= 3)
    assert capfd.readouterr().err.count("gave no answer") == 1


def test_another_branch_that_moves_starts_a_cycle(resting: Running, tmp_path: Path) -> None:
    put(tmp_path / "offered", "aaa\trefs/heads/main\nccc\trefs/heads/other\n")
    resting.until(lambda: resting.cycles == 2)


@pytest.mark.parametrize(
    "pushed", ["bbb\trefs/heads/main\n", "aaa\trefs/heads/main\nbbb\trefs/tags/v2\n"], ids=["branch", "tag"]
)
def test_a_push_that_the_first_cycle_did_not_see_starts_another(start: Start, tmp_path: Path, pushed: str) -> None:
    (tmp_path / "owned").touch()
    (tmp_path / "seen").write_text("aaa\trefs/heads/main\n")
    (tmp_path / "offered").write_text(pushed)
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles == 2)


def test_a_rest_ends_with_its_time(start: Start, tmp_path: Path) -> None:
    (tmp_path / "owned").touch()
    (tmp_path / "offered").write_text("aaa\trefs/heads/main\n")
    (tmp_path / "lasts").write_text("2")
    daemon = start(RESTING)
    daemon.until(lambda: daemon.cycles >= 2)


def test_a_cycle_that_says_nothing_ends_the_rest_and_leaves_its_rhythm(start: Start, tmp_path: Path) -> None:
    (tmp_path / "owned").touch()
    (tmp_path / "offered").write_text("aaa\trefs/heads/main\n")
    once = "import sys, os; (len(open(sys.argv[1] + '/ran').read()) if os.path.exists(sys.argv[1] + '/ran') else 0) "
    silent = f"{once} and (open(sys.argv[1] + '/ran', 'a').write('x'), os._exit(1))\n{RESTING}"
    daemon = start(silent)
    daemon.until(lambda: daemon.cycles == 1)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles >= 4)


def test_a_cycle_that_cannot_be_started_does_not_end_the_daemon(tmp_path: Path) -> None:
    def refuse() -> subprocess.Popen[bytes]:
        raise BlockingIOError("no process left")

    here, there = socket.socketpair()
    with there:
        caller = Caller(here, wait=True)
        daemon = Daemon(Paths(tmp_path), refuse, owns_cycle=True)
        daemon.callers.append(caller)
        daemon._begin()
        assert (daemon.cycle, daemon.waiting, json.loads(there.recv(4096))["ok"]) == (None, [], False)


def test_ten_thousand_looks_at_a_host_at_rest_leave_nothing_behind(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    owned = [tmp_path / f"owned{number}" for number in range(5)]
    for each in owned:
        each.write_text("as wanted")
    kept = trace(Question(QuestionKind.PATH, f"{each}") for each in owned)
    write(paths.rest, Rest(2**40, watch=True), kept)
    daemon = Daemon(paths, lambda: subprocess.Popen(["false"]), owns_cycle=True, due=False)
    daemon._register()

    def look(times: int) -> tuple[int, int]:
        for _ in range(times):
            daemon._look()
            daemon._look_if_stirred()
        gc.collect()
        return len(gc.get_objects()), len(list(Path("/proc/self/fd").iterdir()))

    objects, descriptors = look(100)
    more_objects, same_descriptors = look(10_000)
    assert more_objects - objects < 10
    assert same_descriptors == descriptors
    assert not daemon.due
    owned[-1].write_text("by hand")
    look(1)
    assert daemon.due
    daemon.asking.end()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time (``TZ``) of this process."""

    def put(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


def test_the_end_of_summer_time_delays_nothing(zone: Callable[[str], None], tmp_path: Path) -> None:
    zone("CEST-2")
    daemon = Daemon(Paths(tmp_path), lambda: subprocess.Popen(["false"]), owns_cycle=True, due=False)
    daemon._register()
    zone("CET-1")
    daemon._compare_clocks()
    assert (daemon.scheduler.idle_seconds or 0) < 70
    assert not daemon.due


def test_a_clock_that_is_set_has_a_cycle_look(tmp_path: Path) -> None:
    daemon = Daemon(Paths(tmp_path), lambda: subprocess.Popen(["false"]), owns_cycle=True, due=False)
    ahead, east = daemon.clocks
    daemon.clocks = ahead + 60, east
    daemon._compare_clocks()
    assert daemon.due
    assert daemon.scheduler.idle_seconds is not None


@pytest.mark.parametrize("until", [0, 2**40, 10**400], ids=["not_at_rest", "at_rest", "at_rest_for_ever"])
def test_intervals_that_never_end_are_no_error(tmp_path: Path, until: int) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    long_s = 9_999_999 * 24 * 3600
    write(paths.rest, Rest(until, fetch_s=long_s, drift_s=long_s, plan_s=long_s))
    daemon = Daemon(paths, lambda: subprocess.Popen(["false"]), owns_cycle=True, due=False)
    daemon._register()
    here, there = socket.socketpair()
    with here, there:
        there.send(b"x")
        daemon.selector.register(here, selectors.EVENT_READ)
        assert daemon.selector.select(daemon._pause_s())


def test_what_stirs_while_a_cycle_runs_keeps_the_daemon_asleep(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    write(paths.rest, Rest(2**40, watch=True), trace([Question(QuestionKind.PATH, f"{tmp_path / 'owned'}")]))
    daemon = Daemon(paths, lambda: subprocess.Popen(["sleep", "600"]), owns_cycle=True, due=False)
    daemon._register()
    assert daemon.asking._watch is not None
    (tmp_path / "beside").touch()
    daemon._look_if_stirred()
    daemon._begin()
    assert daemon.cycle is not None
    try:
        time.sleep(2 * DEBOUNCE_S)
        daemon._look_if_stirred()
        assert daemon._pause_s() > 1
    finally:
        daemon.cycle.kill()
        daemon.cycle.wait(30)


def test_an_answer_of_the_remote_while_a_cycle_runs_asks_for_no_other(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    write(paths.rest, Rest(2**40, remote_command=(["echo", "aaa\trefs/heads/main"], {"PATH": os.defpath}, 5)))
    daemon = Daemon(paths, lambda: subprocess.Popen(["sleep", "600"]), owns_cycle=True, due=False)
    daemon._register()
    daemon._ask_remote()
    assert list(daemon.asking.waits_s())
    daemon._begin()
    assert daemon.cycle is not None
    try:
        time.sleep(0.3)
        daemon.due |= daemon.asking.hear()
        assert not daemon.due
    finally:
        daemon.cycle.kill()
        daemon.cycle.wait(30)


@pytest.mark.parametrize("line", ["new-kind\tsubject\tanswer\n", "path\tonly two\n", "unit\ttoo\tmany\twords\n", "\n"])
def test_a_trace_that_this_version_does_not_understand_has_a_cycle_look(tmp_path: Path, line: str) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    write(paths.rest, Rest(2**40), line)
    daemon = Daemon(paths, lambda: subprocess.Popen(["false"]), owns_cycle=True, due=False)
    daemon._register()
    daemon._look()
    assert daemon.due


def test_the_daemon_s_own_modules_are_few() -> None:
    """It is to stay small: none of the large libraries may come with it."""
    script = "import json, sys, agent.__main__, agent.daemon; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    large = {
        "agent.domain.memory",
        "agent.domain.codec",
        "hashlib",
        "inspect",
        "pyinfra",
        "git",
        "pydantic",
        "jinja2",
        "cryptography",
        "rich",
        "click",
        "psutil",
        "paramiko",
    }
    assert not large & {*json.loads(done.stdout)}
