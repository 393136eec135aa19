"""A child that is a fork ends as one that was started, and leaves its parent as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from agent.engine.child import ChildEndedError
from agent.engine.forked import Forked, await_end, may_fork

DEADLINE_S = 20.0


def later() -> float:
    return time.monotonic() + DEADLINE_S


def alone(code: str) -> str:
    """What a Python of its own prints: one without the threads of the test runner."""
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout


def test_it_answers_by_its_pipes_and_ends_with_its_status() -> None:
    def answer() -> int:
        os.write(1, os.read(0, 100).upper())
        return 3

    child = Forked(answer)
    child.send(b"word\n", later())
    assert child.receive(later()) == b"WORD\n"
    with pytest.raises(ChildEndedError, match="ended with status 3"):
        child.receive(later())
    child.close()


def test_what_it_raises_is_told_and_goes_no_further() -> None:
    def fail() -> int:
        raise RuntimeError("out of paper")

    child = Forked(fail)
    with pytest.raises(ChildEndedError, match="RuntimeError: out of paper"):
        child.receive(later())
    child.close()


def test_words_that_are_no_utf_8_are_told() -> None:
    name = os.fsdecode(b"\xff")

    def fail() -> int:
        raise RuntimeError(f"no such file: {name}")

    child = Forked(fail)
    with pytest.raises(ChildEndedError, match=r"no such file: \\udcff"):
        child.receive(later())
    child.close()


@pytest.mark.parametrize(("words", "status"), [("print('x', end='')", 3), ("raise RuntimeError('x')", 1)])
def test_it_ends_where_nobody_is_left_to_tell(words: str, status: int) -> None:
    told = alone(f"""
        import os, sys
        from agent.engine.forked import Forked

        def run():
            sys.stdin.read()
            {words}
            return 3

        try:
            forked = Forked(run)
            forked.stdout.close(), forked.stderr.close(), forked.stdin.close()
            print(forked.wait({DEADLINE_S}))
        except BaseException:
            os._exit(7)  # it got out into the code of its parent
    """)
    assert told == f"{status}\n"


def test_without_a_process_left_it_leaves_its_parent_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> tuple[object, ...]:
        return signal.pthread_sigmask(signal.SIG_BLOCK, ()), sorted(Path("/proc/self/fd").iterdir())

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = state()
    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(BlockingIOError):
        Forked(lambda: 0)
    assert state() == before


@pytest.mark.parametrize("unwritable", ["/dev/full", "a pipe that nobody reads"])
def test_it_starts_where_words_of_its_parent_cannot_be_written(unwritable: str) -> None:
    told = alone(f"""
        import os, sys
        from agent.engine.forked import Forked

        kept, unread = os.dup(1), os.pipe()
        os.close(unread[0])
        os.dup2(os.open("/dev/full", os.O_WRONLY) if {unwritable!r} == "/dev/full" else unread[1], 1)
        sys.stdout = open(1, "w", closefd=False)
        print("waits to be written")
        forked = Forked(lambda: os.write(1, b"word") and 3)
        os.write(kept, f"{{forked.wait({DEADLINE_S})}} {{forked.stdout.read()}}".encode())
        os._exit(0)
    """)
    assert told == "3 b'word'"


def test_it_has_no_descriptor_of_its_parent_and_a_session_of_its_own() -> None:
    def look() -> int:
        others = [each for each in Path("/proc/self/fd").iterdir() if int(each.name) > 2 and each.exists()]
        os.write(1, f"{len(others)} {os.getsid(0) == os.getpid()} {Path.cwd()}\n".encode())
        return 0

    with open("/dev/null"):
        child = Forked(look)
    assert child.receive(later()) == b"0 True /\n"
    child.close()


def test_it_keeps_the_lock_of_its_parent(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "w") as lock, open(tmp_path / "other", "w") as other:
        numbers = lock.fileno(), other.fileno()

        def look() -> int:
            here = [Path(f"/proc/self/fd/{number}").exists() for number in numbers]
            os.write(1, f"{here}\n".encode())
            return 0

        child = Forked(look, keep=(lock.fileno(),))
        assert child.receive(later()) == b"[True, False]\n"
        child.close()


def test_a_signal_that_its_parent_handles_ends_it() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        forked = Forked(lambda: time.sleep(DEADLINE_S) or 0)
        forked.send_signal(signal.SIGTERM)
        assert forked.wait(DEADLINE_S) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_from_a_handler_leaves_its_status_to_who_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    forked, waitpid = Forked(lambda: 3), os.waitpid

    def interrupted(pid: int, options: int) -> tuple[int, int]:
        early = waitpid(pid, options)
        await_end(pid, DEADLINE_S)
        with suppress(ProcessLookupError):
            forked.send_signal(signal.SIGTERM)
        return early

    monkeypatch.setattr(os, "waitpid", interrupted)
    assert forked.wait(DEADLINE_S) == 3


def test_a_status_that_somebody_else_asked_for_is_no_success() -> None:
    forked = Forked(lambda: 0)
    os.waitpid(forked.pid, 0)
    assert forked.poll() == 1


def test_it_is_killed_before_it_has_a_session_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setsid", lambda: time.sleep(DEADLINE_S))
    child = Forked(lambda: (tmp_path / "late").touch() or 0)
    child.kill()
    child.close()
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("kernel", ["of today", "before Linux 5.3"])
def test_the_wait_for_its_end_ends_with_it(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel != "of today":
        monkeypatch.setattr(os, "pidfd_open", Mock(side_effect=OSError(errno.ENOSYS, "no such call")))
    forked = Forked(lambda: time.sleep(0.1) or 0)
    await_end(forked.pid, DEADLINE_S)
    assert forked.poll() == 0
    await_end(forked.pid, DEADLINE_S)


def test_a_process_with_threads_does_not_fork() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, daemon=True)
    thread.start()
    try:
        assert not may_fork()
    finally:
        ended.set()
        thread.join(10)


def test_a_plan_of_built_ins_forks_and_one_of_deploy_files_does_not() -> None:
    assert (
        alone("""
        import os, subprocess, tempfile
        from pathlib import Path
        from agent.domain.desired import DesiredDeploy, DesiredState
        from agent.engine.client import Engine

        started = []
        fork, popen = os.fork, subprocess.Popen.__init__
        os.fork = lambda: started.append("fork") or fork()
        subprocess.Popen.__init__ = lambda self, argv, *a, **o: started.append("new") or popen(self, argv, *a, **o)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x.py").write_text("")
            theirs = DesiredDeploy("b", "deploy", {}, "", source="x.py")
            for deploy in (DesiredDeploy("a", "files", {"items": []}, ""), theirs):
                state = DesiredState("here", "0" * 40, (deploy,), "")
                Engine(work=Path(folder, "work"), timeout_s=60).plan(state, Path(folder), frozenset())
                print(deploy.name, started[0])
                started.clear()
    """)
        == "a fork\nb new\n"
    )


@pytest.mark.parametrize("refusal", ["", "raise OSError('no namespaces here')"])
def test_while_it_confines_itself_it_does_not_do_what_its_parent_does_as_it_ends(tmp_path: Path, refusal: str) -> None:
    told = alone(f"""
        import atexit, os
        from agent.engine import runner
        from agent.engine.forked import Forked
        from agent.engine.protocol import Begin

        def confine(_):
            {refusal or "pass"}

        runner.confine = confine
        atexit.register(lambda: print("parent" if os.getpid() == parent else "child"))
        parent, begin = os.getpid(), Begin({str(tmp_path)!r}, {str(tmp_path)!r}, ())
        forked = Forked(lambda: runner.main({str(tmp_path)!r}, begin))
        code = forked.wait({DEADLINE_S})
        print(code, b"child" in forked.stdout.read(), forked.stderr.read())
    """)
    assert told == "0 False b''\nparent\n"
