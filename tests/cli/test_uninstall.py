"""What uninstalling tells and keeps, below a folder that stands for a host."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.cli.commands import uninstall
from agent.cli.main import run
from agent.domain.desired import OnRemove
from agent.domain.memory import Applied, AppliedDeploy
from agent.domain.ownership import Seen
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.state import Memory


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr(uninstall, "booted", lambda: False)  # else it would speak to the systemd of this machine
    paths = Paths(tmp_path)
    paths.lock.parent.mkdir(parents=True)
    paths.var.mkdir(parents=True)
    return paths


def gone(paths: Paths, said: list[str]) -> uninstall.Gone:
    return uninstall.take_off(paths, keep=False, talk=said.append)


def test_what_it_cannot_take_back_is_told(paths: Paths) -> None:
    on_remove = OnRemove("deploys/wave.py", {}, "0" * 40)
    tidy = AppliedDeploy("1", {"command:a": "1", "command:b": "1", "file:/etc/motd": "1"})
    Memory(paths).keep_applied(Applied(deploys={"wave": AppliedDeploy("1", on_remove=on_remove), "tidy": tidy}))
    assert gone(paths, []).stayed == ["wave: its on_remove was not run", "what 2 commands did"]
    assert not paths.var.exists()


def test_a_memory_that_nobody_can_read_is_no_obstacle(paths: Paths) -> None:
    paths.document("applied").write_text("{")
    assert "nobody can read" in gone(paths, []).stayed[0]
    assert not paths.var.exists()


def test_a_damaged_entry_is_a_failure_and_keeps_the_ledger(paths: Paths, tmp_path: Path) -> None:
    ledger = Ledger(paths.ledger)
    for name in ("one", "two"):
        ledger.record(f"file:{tmp_path}/{name}", "files", 0, Seen({"type": "file"}))
    with closing(sqlite3.connect(paths.ledger / "entries.sqlite")) as connection, connection:
        connection.execute("update entry set document = x'7b' where key = ?", (f"file:{tmp_path}/one".encode(),))
    said: list[str] = []
    failed = gone(paths, said).failed
    assert [f"file:{tmp_path}/one is damaged" in line for line in failed] == [True]
    assert Ledger(paths.ledger).damaged() == (f"file:{tmp_path}/one",)
    assert f"kept {paths.ledger}: it has what was there before what could not be given back" in said


def test_how_much_was_given_back_is_told(paths: Paths, tmp_path: Path) -> None:
    Ledger(paths.ledger).record(f"file:{tmp_path}/never-made", "files", 0, None)
    said: list[str] = []
    assert gone(paths, said).failed == []
    assert "removed: 1 file" in said


def test_bootstrap_waits_until_the_last_package_is_gone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(paths.ledger).record("package:git", "(bootstrap)", 0, None)
    monkeypatch.setattr(uninstall, "require_root", lambda: None)
    monkeypatch.setattr(uninstall, "Paths", lambda: paths)
    manager = SimpleNamespace(removal_command=lambda names: (["apt-get", "purge", *names], {}))
    monkeypatch.setattr(uninstall, "require_manager", lambda: manager)
    held = []

    def exec_last(*_: object) -> None:
        with paths.bootstrap_lock.open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(True)

    monkeypatch.setattr(uninstall, "exec_last", exec_last)
    assert (run(["uninstall", "--yes"]), held) == (0, [True])
