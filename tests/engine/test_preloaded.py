"""The process that has loaded what deploy files need, once for all children. None leaves anything to the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from agent.domain.outcome import Status
from agent.engine.child import ChildEndedError, TimedOutError
from agent.engine.client import Engine
from agent.engine.preloaded import Preloaded
from agent.errors import DeployError
from tests.engine.conftest import TIMEOUT_S, Bench, everything, make_bench

TELLS = 'server.shell(name=f"{sorted(%s)}", commands=["true"])'


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path, alone=True)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that this one starts to be the parents of engine children."""
    found: list[int] = []
    popen = subprocess.Popen

    class Noted(popen):  # type: ignore[type-arg,misc]
        def __init__(self, argv: list[str], *more: Any, **named: Any) -> None:
            super().__init__(argv, *more, **named)
            if argv[1:] == ["-I", "-m", "agent.engine"]:
                found.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return found


def plan(engine: Engine, bench: Bench) -> tuple[str, ...]:
    (found,) = engine.plan(bench.state(), bench.root, frozenset())
    assert found.error is None, found.error
    return found.resources


def test_plan_apply_and_confirm_start_one_process(bench: Bench, started: list[int]) -> None:
    bench.deploy("once", 'files.put(name="once", src=StringIO("x"), dest=f"{target}/once")')
    engine = bench.engine()
    assert plan(engine, bench)
    bench.apply(engine=engine)
    assert plan(engine, bench)
    assert len(started) == 1
    assert (bench.target / "once").read_text() == "x"


def test_none_is_started_for_no_deploys(bench: Bench, started: list[int]) -> None:
    assert bench.engine().plan(bench.state(), bench.root, frozenset()) == ()
    assert started == []


def test_it_ends_with_the_engine_and_nobody_is_left(bench: Bench, started: list[int]) -> None:
    bench.deploy("none", "")
    engine = bench.engine()
    engine.plan(bench.state(), bench.root, frozenset())
    assert Path(f"/proc/{started[0]}").exists()
    del engine
    assert not Path(f"/proc/{started[0]}").exists()


@pytest.mark.parametrize(
    ("leaves", "looks"),
    [
        ("import os; os.environ['LEFT'] = 'x'", "__import__('os').environ.get('LEFT', '')"),
        ("import sys; sys.modules['left'] = sys", "name for name in __import__('sys').modules if name == 'left'"),
        ("import pyinfra; pyinfra.left = 1", "name for name in dir(__import__('pyinfra')) if name == 'left'"),
        ("import os; os.dup2(1, 77)", "name for name in __import__('os').listdir('/proc/self/fd') if name == '77'"),
        ("import os; os.umask(0o77)", "[__import__('os').umask(0o22)] if __import__('os').umask(0o22) == 0o77 else ''"),
    ],
    ids=["environment", "modules", "pyinfra", "descriptors", "umask"],
)
def test_what_one_child_leaves_the_next_does_not_find(bench: Bench, leaves: str, looks: str) -> None:
    engine = bench.engine()
    bench.deploy("leaves", f"{leaves}\n{TELLS % looks}")
    assert plan(engine, bench) != ("op:[]#1",)
    bench.deploys.clear()
    bench.deploy("looks", TELLS % looks)
    assert plan(engine, bench) == ("op:[]#1",)


def test_no_secret_of_one_child_is_in_the_memory_of_the_next(bench: Bench) -> None:
    engine, secret = bench.engine(), "swordfish" * 3
    bench.deploy("knows", "", password=secret)
    engine.plan(bench.state(), bench.root, frozenset())
    bench.deploys.clear()
    bench.deploy("searches", SEARCHES, halves=[secret[:13], secret[13:]])
    assert plan(engine, bench) == ("op:found 0#1",)


SEARCHES = """\
import re
halves = [half.encode() for half in host.data.halves]
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        first, last = (int(place, 16) for place in line.split()[0].split("-"))
        if " rw" in line:
            try:
                memory.seek(first)
                text = memory.read(last - first)
            except (OSError, ValueError, OverflowError):
                continue
            places = [at.end() for at in re.finditer(re.escape(halves[0]), text)]
            found += sum(text[at:at + len(halves[1])] == halves[1] for at in places)
server.shell(name=f"found {found}", commands=["true"])
"""


def test_where_it_was_killed_the_next_child_has_another(bench: Bench, started: list[int]) -> None:
    bench.deploy("none", "")
    engine = bench.engine()
    engine.plan(bench.state(), bench.root, frozenset())
    os.kill(started[0], signal.SIGKILL)
    os.waitid(os.P_PID, started[0], os.WEXITED | os.WNOWAIT)
    engine.plan(bench.state(), bench.root, frozenset())
    assert len(started) == 2


def test_where_it_is_killed_its_child_does_not_go_on(started: list[int]) -> None:
    preloaded = Preloaded()
    child = preloaded.child(pyinfra=False, timeout_s=TIMEOUT_S)
    os.kill(started[0], signal.SIGKILL)
    with pytest.raises(ChildEndedError, match="was killed by SIGKILL"):
        child.receive(time.monotonic() + TIMEOUT_S)
    child.close()


STOPPED = """\
import os, signal, time
def stop():
    os.kill(os.getppid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.8)  # the end of a silent engine is looked for twice a second
python.call(name="one", function=stop)
server.shell(name="two", commands=["true"])
"""


def test_where_all_processes_are_asked_to_end_an_operation_is_finished(bench: Bench) -> None:
    bench.deploy("asked", STOPPED)
    ended = bench.apply(decide=everything)["asked"]
    assert (ended.status, [result.succeeded for result in ended.results]) == (Status.STOPPED, [True])


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("echo 'no such library' >&2", "no such library"),
        ("echo 'a warning' >&2; kill -KILL $$", "it was killed by SIGKILL"),
        ("exit 1", "it ended and said nothing"),
    ],
)
def test_one_that_cannot_be_loaded_says_why(bench: Bench, tmp_path: Path, does: str, told: str) -> None:
    bench.deploy("none", "")
    engine = Engine(work=bench.work, timeout_s=TIMEOUT_S, python=interpreter(tmp_path, does))
    with pytest.raises(DeployError, match=f"could not be started: {told}"):
        engine.plan(bench.state(), bench.root, frozenset())


def interpreter(folder: Path, does: str) -> str:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{does}\n")
    python.chmod(0o755)
    return str(python)


def test_one_that_says_much_as_it_loads_starts(tmp_path: Path) -> None:
    does = f'head -c 100000 /dev/zero >&2; exec {sys.executable} "$@"'
    child = Preloaded(interpreter(tmp_path, does)).child(pyinfra=False, timeout_s=TIMEOUT_S)
    child.kill()
    child.close()


REAPS = """\
import ctypes, os
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: as process 1
from agent.engine.preloaded import Preloaded
preloaded = Preloaded()
with preloaded.child(pyinfra=False, timeout_s=60):
    pass
del preloaded
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("none")
"""


def test_where_process_1_waits_for_no_child_none_stays() -> None:
    argv = [sys.executable, "-I", "-c", REAPS]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout == "none\n"


def test_one_that_does_not_answer_in_time_is_killed(bench: Bench, tmp_path: Path, started: list[int]) -> None:
    bench.deploy("none", "")
    engine = Engine(work=bench.work, timeout_s=1, python=interpreter(tmp_path, "exec sleep 600"))
    with pytest.raises(DeployError, match="could not be started: timed out"):
        engine.plan(bench.state(), bench.root, frozenset())
    assert not Path(f"/proc/{started[0]}").exists()


def test_what_a_deploy_left_running_outlives_a_child_that_ended_well(bench: Bench) -> None:
    bench.deploy(
        "leaves", 'server.shell(name="leaves", commands=[f"(sleep 0.3; touch {target}/late) >/dev/null 2>&1 &"])'
    )
    engine = bench.engine()
    bench.apply(engine=engine, decide=everything)
    until = time.monotonic() + TIMEOUT_S
    while not (bench.target / "late").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (bench.target / "late").exists()


AT_ITS_END = """\
import atexit, tempfile, threading, time
def later(path):
    time.sleep(0.3)
    Path(path).touch()
atexit.register(later, target / "by atexit")
scratch = tempfile.TemporaryDirectory(dir=target)
threading.Thread(target=later, args=[target / "by a thread"]).start()
"""


def test_deploy_code_may_leave_things_to_the_end_of_its_process(bench: Bench) -> None:
    bench.deploy(
        "leaves",
        f"def leave():\n{textwrap.indent(AT_ITS_END, '    ')}    global kept\n    kept = scratch\n"
        'python.call(name="leave", function=leave)',
    )
    bench.apply(decide=everything)
    assert sorted(path.name for path in bench.target.iterdir()) == ["by a thread", "by atexit"]


def test_it_lasts_as_long_as_its_child(started: list[int]) -> None:
    child = Preloaded().child(pyinfra=False, timeout_s=TIMEOUT_S)
    with pytest.raises(TimedOutError):
        child.receive(time.monotonic() + 0.6)
    child.kill()
    child.close()
    del child
    assert not Path(f"/proc/{started[0]}").exists()
