"""The engine child as a process: what ends it, what it leaves behind, and what its parent makes of that."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.domain.desired import Looking
from agent.domain.outcome import Status
from agent.engine.client import Decision, Engine, Execute, FoundDeploy
from agent.errors import Consequence, DeployError
from tests.engine.conftest import TIMEOUT_S, Bench, everything, make_bench

AFTER = 'server.shell(name="after", commands=[f"touch {target}/after"])'


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path, alone=True)


@pytest.mark.parametrize("code", [0, 3])
def test_deploy_code_that_ends_the_process_is_reported(bench: Bench, code: int) -> None:
    bench.deploy("ends", f'import os, sys; print("last words", file=sys.stderr, flush=True); os._exit({code})')
    bench.deploy("after", AFTER)
    found = bench.plan()
    assert found["ends"].error == f"the engine ended with status {code}: last words"
    assert found["after"].error == "the engine ended with ends"


def test_what_another_deploy_said_is_no_reason_for_the_end_of_the_engine(bench: Bench) -> None:
    bench.deploy("says", 'import sys; print("words of the first", file=sys.stderr, flush=True)')
    bench.deploy("ends", 'import os, sys; print("last words", file=sys.stderr, flush=True); os._exit(3)')
    assert bench.plan()["ends"].error == "the engine ended with status 3: last words"
    assert bench.apply()["ends"].error == "the engine ended with status 3: last words"


def test_an_engine_that_ended_is_told_of_its_own_deploy_and_the_next_one_of_what_it_finds(bench: Bench) -> None:
    bench.deploy("ends", "import os; os._exit(3)")
    bench.deploy("after", AFTER)
    bench.deploys[-1] = replace(bench.deploys[-1], looking=Looking.PRIVILEGED)
    found = bench.plan()
    assert (found["ends"].error, len(found["after"].changes)) == ("the engine ended with status 3", 1)


@pytest.mark.parametrize("forks", [False, True], ids=["started", "forked"])
def test_an_engine_for_which_no_process_is_left_is_an_error_that_passes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(Engine, "_may_fork_itself", lambda *_: forks)
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    bench.deploy("after", AFTER)
    with pytest.raises(DeployError, match=r"could not be started: .* temporarily unavailable") as caught:
        bench.engine().plan(bench.state(), bench.root, frozenset())
    assert (caught.value.kind, caught.value.consequence) == ("engine", Consequence.RETRY)


def test_a_killed_engine_fails_its_deploy_and_skips_the_rest(bench: Bench) -> None:
    bench.deploy(
        "killed",
        'server.shell(name="before", commands=["true"])\n'
        'import os, signal; python.call(name="kill", function=lambda: os.kill(os.getpid(), signal.SIGKILL))',
    )
    bench.deploy("after", AFTER)
    outcomes = bench.apply()
    assert (outcomes["killed"].status, outcomes["killed"].error) == (Status.FAILED, "the engine was killed by SIGKILL")
    assert [result.operation for result in outcomes["killed"].results] == ["before"]
    assert (outcomes["after"].status, outcomes["after"].error) == (Status.SKIPPED, "the engine ended with killed")


def test_a_deploy_that_does_not_end_in_time_is_killed_with_what_it_started(bench: Bench) -> None:
    bench.deploy("hangs", 'server.shell(name="hang", commands=[f"echo $$ > {target}/shell; sleep 600"])')
    bench.deploy("after", AFTER)
    engine = bench.engine()
    engine.plan(bench.state(), bench.root, frozenset())  # loads pyinfra, which may take as long on a busy machine
    engine.timeout_s = 2
    outcomes = bench.apply(engine=engine)
    assert (outcomes["hangs"].status, outcomes["hangs"].error) == (Status.FAILED, "did not end within 2 s")
    assert outcomes["after"].status is Status.SKIPPED
    shell, end = bench.target / "shell", time.monotonic() + TIMEOUT_S
    while shell.exists() and (pid := shell.read_text()) and _lives(int(pid)):  # what is killed takes a moment to go
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_stop_finishes_the_current_operation_and_begins_no_other(bench: Bench) -> None:
    bench.deploy(
        "stopped",
        'server.shell(name="current", commands=[f"sleep 1; touch {target}/current"])\n'
        'server.shell(name="next", commands=[f"touch {target}/next"])',
    )
    bench.deploy("after", AFTER)
    engine = bench.engine()
    outcomes = bench.apply(engine=engine, on_started=lambda *_: engine.stop())
    assert outcomes["stopped"].status is Status.STOPPED
    assert [result.operation for result in outcomes["stopped"].results] == ["current"]
    assert (outcomes["after"].status, outcomes["after"].error) == (Status.SKIPPED, "stopped before it began")
    assert sorted(path.name for path in bench.target.iterdir()) == ["current"]


def test_a_stop_while_planning_is_no_plan(bench: Bench) -> None:
    bench.deploy("slow", "import time\nwhile not (target / 'stopped').exists(): time.sleep(0.01)")
    bench.deploy("after", AFTER)
    engine = bench.engine()

    def stop() -> None:
        until = time.monotonic() + TIMEOUT_S
        while engine._child is None and time.monotonic() < until:
            time.sleep(0.01)
        engine.stop()
        (bench.target / "stopped").touch()

    threading.Thread(target=stop).start()
    with pytest.raises(DeployError) as caught:
        engine.plan(bench.state(), bench.root, frozenset())
    assert caught.value.kind == "stopped"


def test_after_a_stop_nothing_is_applied_and_what_was_done_can_still_be_confirmed(bench: Bench) -> None:
    bench.deploy("after", AFTER)
    engine = bench.engine()
    engine.stop()
    assert bench.apply(engine=engine)["after"].status is Status.SKIPPED
    assert list(bench.target.iterdir()) == []
    (found,) = engine.plan(bench.state(), bench.root, frozenset())
    assert found.resources == ("op:after#1",)


def test_a_flood_on_stderr_is_read_and_forgotten(bench: Bench) -> None:
    bench.deploy("floods", 'import os\nfor _ in range(1000): os.write(2, b"x" * 65535 + b"\\n")\nos._exit(9)')
    error = bench.plan()["floods"].error
    assert error is not None
    assert error.startswith("the engine ended with status 9: xxx")
    assert len(error) < 10_000


def test_a_process_that_deploy_code_leaves_behind_does_not_keep_anybody_waiting(bench: Bench) -> None:
    bench.deploy(
        "forks", "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(30); os._exit(0)\nos._exit(5)"
    )
    begun = time.monotonic()
    assert "status 5" in (bench.plan()["forks"].error or "")
    assert time.monotonic() - begun < 30


PARENT = """
import sys
from pathlib import Path
from tests.engine.conftest import TIMEOUT_S, Bench
bench = Bench(*map(Path, sys.argv[1:]))
bench.deploy("two", '''
server.shell(name="current", commands=[f"until test -e {target}.go; do sleep 0.1; done; touch {target}/current"])
server.shell(name="next", commands=[f"touch {target}/next"])
''')
bench.apply(on_started=lambda *_: print("started", flush=True))
"""


def test_an_engine_whose_parent_was_killed_finishes_its_operation_and_begins_no_other(bench: Bench) -> None:
    argv = [sys.executable, "-c", PARENT, str(bench.root), str(bench.target), str(bench.work)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
    bench.target.with_name("target.go").touch()
    end = time.monotonic() + TIMEOUT_S
    while not (bench.target / "current").exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(1)
    assert [path.name for path in bench.target.iterdir()] == ["current"]


def test_what_a_decision_raises_ends_the_engine_before_anything_changed(bench: Bench) -> None:
    bench.deploy("after", AFTER)

    def full(_found: FoundDeploy) -> Decision:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        bench.apply(decide=full)
    assert list(bench.target.iterdir()) == []
    assert list(bench.work.iterdir()) == []


GIBBERISH = """\
import os, socket
parent = socket.socket(fileno=0)
order, descriptors, _, _ = socket.recv_fds(parent, 4096, 16)
os.write(descriptors[1], b"hello there\\n")
parent.send(b"[%d, 0]" % os.getpid())
parent.recv(1)
"""


def test_an_engine_that_talks_gibberish_is_an_error_of_the_engine(bench: Bench, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{GIBBERISH}")
    python.chmod(0o755)
    bench.deploy("after", AFTER)
    engine = Engine(work=bench.work, timeout_s=30, python=str(python))
    with pytest.raises(DeployError) as caught:
        engine.plan(bench.state(), bench.root, frozenset())
    assert caught.value.kind == "engine"
    assert "hello there" in caught.value.message


WRITES = """\
import os
for name in os.listdir("/proc/self/fd"):
    try:
        if os.stat(f"/proc/self/fd/{name}").st_ino == host.data.inode:
            os.write(int(name), b"held")
    except FileNotFoundError:
        pass
"""


def test_the_lock_is_inherited_by_a_child_that_may_write(bench: Bench) -> None:
    reading, writing = os.pipe()
    bench.deploy("writes", WRITES, inode=os.fstat(writing).st_ino)
    bench.apply(engine=bench.engine(inherit=(writing,)))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"held"


def test_pyinfras_own_variables_do_not_reach_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFRA_YES", "true")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    bench.deploy(
        "tells",
        "import os; seen = sorted(n for n in os.environ if n.startswith(('PYINFRA_', 'LC_', 'LANG')))\n"
        'server.shell(name=f"{seen}", commands=["true"])',
    )
    assert bench.plan()["tells"].resources == ("op:['LC_ALL']#1",)


def test_everybody_hears_how_each_deploy_ended(bench: Bench) -> None:
    bench.deploy("fails", 'server.shell(name="no", commands=["false"])')
    bench.deploy("after", AFTER)
    ended: list[tuple[str, Status]] = []
    bench.engine().apply(
        bench.state(),
        bench.root,
        frozenset(),
        decide=everything,
        on_done=lambda outcome: ended.append((outcome.deploy, outcome.status)),
    )
    assert ended == [("fails", Status.FAILED), ("after", Status.DONE)]


def test_the_temporary_folder_is_for_root_alone(bench: Bench) -> None:
    bench.deploy("looks", 'server.shell(name=str(host.get_temp_filename("x")), commands=["true"])')
    (key,) = bench.plan()["looks"].resources
    assert key.startswith(f"op:{bench.work}/engine-")
    assert bench.work.stat().st_mode & 0o777 == 0o700


def test_no_deploys_need_no_engine(bench: Bench) -> None:
    engine = Engine(work=bench.work, timeout_s=1, python="/nonexistent")
    assert engine.plan(bench.state(), bench.root, frozenset()) == ()


def test_only_what_is_allowed_is_asked_for(bench: Bench) -> None:
    bench.deploy("two", 'for name in "ab": server.shell(name=name, commands=[f"touch {target}/{name}"])')
    bench.apply(decide=lambda _found: Execute(frozenset({"op:b#1"})))
    assert [path.name for path in bench.target.iterdir()] == ["b"]
