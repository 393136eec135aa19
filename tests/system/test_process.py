"""Other programs, and what may go wrong with them: they run for ever, talk for ever, hoard memory, leave children."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import pytest

from agent.system.process import Completed, run

MIB = 1024 * 1024


def python(code: str, **more: object) -> Completed:
    return run([sys.executable, "-I", "-S", "-c", code], **{"timeout_s": 30, **more})  # type: ignore[arg-type]


def test_it_reads_what_it_is_given_and_both_streams_are_kept_apart() -> None:
    done = python("import sys; sys.stderr.write('e'); sys.stdout.write(sys.stdin.read()[::-1])", input=b"abc")
    assert done == Completed(0, b"cba", b"e")


def test_input_and_output_larger_than_any_pipe_pass_at_once() -> None:
    data = bytes(range(256)) * 8192
    done = python("import sys; [sys.stdout.buffer.write(sys.stdin.buffer.read(9)) for _ in range(1 << 18)]", input=data)
    assert done.output == data[-MIB:]
    assert done.cut


def test_one_that_does_not_read_its_input_is_no_failure() -> None:
    assert python("import sys; sys.stdin.close()", input=bytes(8 * MIB)).ok


def test_of_a_stream_without_end_no_more_is_ever_held_than_is_kept() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = python("import sys; [sys.stdout.write('x' * (1 << 20)) for _ in range(400)]; print('end')")
    assert done.output.endswith(b"xend\n")
    assert (len(done.output), done.cut) == (MIB, True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_one_that_runs_too_long_is_killed_with_what_it_had_said() -> None:
    done = run(["sh", "-c", "echo began; exec sleep 600"], timeout_s=1)
    assert (done.timed_out, done.ok, done.output) == (True, False, b"began\n")


def test_one_that_talks_too_long_is_killed_too() -> None:
    assert python("while True: print('x' * 1000)", timeout_s=1).timed_out


def test_somebody_who_escaped_and_holds_the_output_open_is_not_waited_for() -> None:
    begun = time.monotonic()
    leaves = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(30)"
    assert python(leaves, timeout_s=0.5).timed_out
    assert time.monotonic() - begun < 20


def test_one_that_hoards_memory_gets_no_more_than_its_share() -> None:
    done = python("x = [bytearray(1 << 24) for _ in range(32)]", memory_limit=128 * MIB)
    assert done.code == 1
    assert b"MemoryError" in done.error


def test_what_it_starts_has_the_same_share() -> None:
    child = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'bytearray(1 << 29)']).returncode)"
    assert python(child, memory_limit=256 * MIB).code == 1


def test_what_it_starts_at_once_has_the_same_share() -> None:
    done = run(["sh", "-c", "sh -c 'ulimit -d'"], timeout_s=10, memory_limit=128 * MIB)
    assert int(done.output) == 128 * 1024


def test_a_share_that_was_lent_comes_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    run(["true"], timeout_s=10, memory_limit=128 * MIB)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run([f"{tmp_path}/none"], timeout_s=1)


def test_what_is_stopped_may_clean_up_first(tmp_path: Path) -> None:
    began = tmp_path / "began"
    script = f"trap 'echo cleaned; exit 1' TERM; sleep 600 & touch {began}; wait"
    done = run(["sh", "-c", script], timeout_s=120, stopped=began.exists)
    assert (done.timed_out, done.output) == (True, b"cleaned\n")


def test_what_does_not_end_when_it_is_stopped_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.system.process.GRACE_S", 0.3)
    began = time.monotonic()
    done = run(["sh", "-c", "trap '' TERM; sleep 600"], timeout_s=120, stopped=lambda: True)
    assert done.timed_out
    assert time.monotonic() < began + 60
