"""Commands for real, as whoever runs the tests, below a temporary folder."""

from __future__ import annotations

import getpass
import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.deploys import as_user
from agent.deploys.command import host
from agent.deploys.command.host import Command, Series
from agent.errors import DeployError

ME = getpass.getuser()


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path / "memory")


def again(tmp_path: Path) -> Series:
    """As the next cycle sees it."""
    return Series(tmp_path / "memory")


def shell(text: str, **more: object) -> Command:
    command = Command("job", "d1", ["/bin/sh", "-euc", text], None, None, ME, "/", {}, 20)
    return replace(command, **more)  # type: ignore[arg-type]


def failure(series: Series, command: Command) -> str:
    with pytest.raises(DeployError) as caught:
        series.carry_out(command)
    return caught.value.message


def test_what_it_writes_is_told(series: Series) -> None:
    assert series.carry_out(shell("echo out; echo err >&2")) == "out\nerr\n"


def test_one_without_a_condition_runs_once_until_it_changes(series: Series, tmp_path: Path) -> None:
    assert not series.is_done(shell("true"))
    series.carry_out(shell("true"))
    assert again(tmp_path).is_done(shell("true"))
    assert not again(tmp_path).is_done(shell("true", digest="d2"))


def test_one_that_left_and_came_back_runs_again(series: Series, tmp_path: Path) -> None:
    host.forget_others([], tmp_path / "memory")
    for name in ("gone", "kept"):
        series.carry_out(shell("true", name=name))
    host.forget_others(["kept", "other"], tmp_path / "memory")
    assert [again(tmp_path).is_done(shell("true", name=name)) for name in ("gone", "kept")] == [False, True]


def test_one_that_failed_has_not_run(series: Series, tmp_path: Path) -> None:
    assert failure(series, shell("echo first; echo last words >&2; exit 3")).splitlines() == [
        "ended with status 3: last words",
        "first",
        "last words",
    ]
    assert not again(tmp_path).is_done(shell("true"))


def test_nothing_is_run_after_one_that_failed(series: Series, tmp_path: Path) -> None:
    failure(series, shell("exit 1"))
    assert failure(series, shell(f"touch {tmp_path}/ran", name="next")) == "not run, because job failed before it"
    assert not (tmp_path / "ran").exists()


def test_creates_is_done_where_the_path_is_there(series: Series, tmp_path: Path) -> None:
    command = shell(f"touch {tmp_path}/made", creates=f"{tmp_path}/made")
    assert not series.is_done(command)
    series.carry_out(command)
    assert series.is_done(command)
    (tmp_path / "made").unlink()
    assert not series.is_done(command)


def test_unless_is_done_where_it_ends_with_zero(series: Series, tmp_path: Path) -> None:
    command = shell("true", unless=["test", "-e", f"{tmp_path}/there"])
    assert not series.is_done(command)
    (tmp_path / "there").touch()
    assert series.is_done(command)


def test_unless_that_does_not_end_cannot_be_planned(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "UNLESS_TIMEOUT_S", 0.2)
    with pytest.raises(DeployError, match=r"job: unless \(sleep 60\) did not end within 0.2 s"):
        series.is_done(shell("true", unless=["sleep", "60"]))


def test_unless_that_is_not_there_is_named(series: Series) -> None:
    with pytest.raises(DeployError, match="no-such-program cannot be started: no-such-program: No such file"):
        series.is_done(shell("true", unless=["no-such-program"]))


def test_a_user_who_does_not_exist_is_named(series: Series) -> None:
    with pytest.raises(DeployError, match="user nobody-there does not exist"):
        series.is_done(shell("true", user="nobody-there"))


def test_it_has_the_environment_that_was_asked_for_and_no_other(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    told = series.carry_out(shell("env", env={"A": "1", "LC_ALL": "C"})).splitlines()
    names = {line.partition("=")[0] for line in told} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names == {"A", "LC_ALL", "PATH", "HOME", "USER", "LOGNAME"}
    assert {"A=1", "LC_ALL=C"} <= set(told)


def test_it_runs_where_it_was_asked_to(series: Series, tmp_path: Path) -> None:
    assert series.carry_out(shell("pwd", cwd=f"{tmp_path}")) == f"{tmp_path}\n"
    assert "cannot be started" in failure(series, shell("pwd", cwd=f"{tmp_path}/not-there"))


def test_it_has_nobody_to_ask(series: Series) -> None:
    assert series.carry_out(shell("read answer || echo nobody; (exec </dev/tty) 2>/dev/null || echo no terminal")) == (
        "nobody\nno terminal\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_is_that_user_in_everything(series: Series) -> None:
    assert series.carry_out(shell("id -un; id -Gn; echo $HOME $USER", user="nobody")) == (
        "nobody\nnogroup\n/nonexistent nobody\n"
    )


def test_what_it_started_dies_with_it_when_the_time_is_over(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_user, "GRACE_S", 0.2)
    text = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; echo on; wait"
    told = failure(series, shell(text, timeout_s=2))
    assert told.splitlines()[0] == "did not end within 2 s, and was killed with what it started: on"
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_daemon_that_it_leaves_behind_is_not_waited_for(series: Series, tmp_path: Path) -> None:
    begun = time.monotonic()
    told = series.carry_out(shell(f"setsid sleep 300 & echo $! > {tmp_path}/daemon; echo left"))
    assert (told, time.monotonic() - begun < 60) == ("left\n", True)
    psutil.Process(int((tmp_path / "daemon").read_text())).kill()


def test_a_flood_of_output_is_kept_from_its_end(series: Series) -> None:
    told = series.carry_out(shell("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo line $i; done"))
    assert len(told) <= as_user.OUTPUT_LIMIT
    assert told.endswith("line 30000\n")


def test_one_that_a_signal_ends_says_so(series: Series) -> None:
    assert failure(series, shell("kill -9 $$")) == "was ended by signal 9, and wrote nothing"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (shell("echo a\necho b", user="root"), "run in a shell: echo a echo b"),
        (shell("", argv=["/bin/a", "b c"], user="ann"), "run: /bin/a 'b c' (as ann)"),
        (shell("x" * 300, user="root"), f"run in a shell: {'x' * 200}…"),
    ],
)
def test_a_plan_says_what_would_run(command: Command, words: str) -> None:
    assert command.words == words
