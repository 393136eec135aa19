"""The agent's links, units and folders: put there once, seen to be there, taken away whole."""

from __future__ import annotations

import configparser
from importlib.resources import files
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.host import installation
from agent.host.paths import Paths
from agent.system.files import discard
from agent.system.systemd import CYCLE_UNIT, DAEMON_UNIT


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A host with two versions of the agent and everything it keeps."""
    paths = Paths(tmp_path)
    for folder in (
        paths.opt / "versions/1.0",
        paths.opt / "versions/2.0",
        paths.etc,
        paths.var / "identity",
        paths.run,
    ):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    return paths


def unit(name: str) -> configparser.SectionProxy:
    text = (files("agent.host") / "units" / name).read_text()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser["Service"]


def test_the_command_leads_to_the_current_version(paths: Paths) -> None:
    assert installation.link(paths, "1.0")
    assert (paths.opt / "current").readlink().name == "1.0"
    assert installation.command(paths).readlink() == Path("/opt/hostwright/current/bin/hostwright")


def test_linking_twice_changes_nothing(paths: Paths) -> None:
    installation.link(paths, "1.0")
    assert not installation.link(paths, "1.0")


def test_another_version_takes_over_in_one_step(paths: Paths) -> None:
    installation.link(paths, "1.0")
    assert installation.link(paths, "2.0")
    assert (paths.opt / "current").readlink().name == "2.0"
    assert sorted(path.name for path in paths.opt.iterdir()) == ["current", "versions"]


def test_a_command_of_somebody_else_is_left_alone(paths: Paths) -> None:
    command = installation.command(paths)
    command.parent.mkdir(parents=True)
    command.write_text("theirs")
    with pytest.raises(SettingsError, match="is not ours"):
        installation.link(paths, "1.0")
    assert command.read_text() == "theirs"
    assert not (paths.opt / "current").is_symlink()


def test_units_are_written_once(paths: Paths) -> None:
    assert installation.write_units(paths)
    assert not installation.write_units(paths)
    assert {path.name for path in installation.units_folder(paths).iterdir()} == {*installation.UNITS}


def test_a_unit_that_was_edited_is_put_right(paths: Paths) -> None:
    installation.write_units(paths)
    (installation.units_folder(paths) / CYCLE_UNIT).write_text("[Service]\n")
    assert installation.write_units(paths)


@pytest.mark.parametrize("name", [DAEMON_UNIT, CYCLE_UNIT])
def test_units_run_what_is_current(name: str) -> None:
    assert unit(name)["ExecStart"].startswith("/opt/hostwright/current/bin/hostwright ")


def test_a_cycle_is_asked_alone_and_what_it_leaves_behind_is_killed() -> None:
    service = unit(CYCLE_UNIT)
    assert service["Type"] == "oneshot"
    assert service["KillMode"] == "mixed"


def test_a_failed_deploy_is_a_failed_unit_and_a_held_lock_is_not() -> None:
    fine = unit(CYCLE_UNIT)["SuccessExitStatus"].split()
    assert "75" in fine
    assert not {"3", "4", "5", "6", "7", "8"} & set(fine)


def test_uninstalling_leaves_nothing_and_can_be_done_twice(paths: Paths) -> None:
    installation.link(paths, "1.0")
    installation.write_units(paths)
    assert installation.remove(paths, keep=False) == []
    assert [path for path in paths.root.rglob("*") if "hostwright" in path.name] == []
    assert installation.remove(paths, keep=False) == []


def test_keeping_keeps_settings_and_memory(paths: Paths) -> None:
    installation.link(paths, "1.0")
    assert installation.remove(paths, keep=True) == []
    assert (paths.etc / "file").exists()
    assert (paths.var / "identity/file").exists()
    assert not paths.opt.exists()


def test_keeping_keeps_the_tools_that_were_put_on_the_host(paths: Paths) -> None:
    installation.link(paths, "1.0")
    tool = paths.opt / "tools/jq/1.7/bin/jq"
    tool.parent.mkdir(parents=True)
    tool.touch()
    assert installation.remove(paths, keep=True) == []
    assert tool.exists()
    assert [path.name for path in paths.opt.iterdir()] == ["tools"]
    assert installation.remove(paths, keep=False) == []
    assert not paths.opt.exists()


def test_a_ledger_that_is_still_needed_stays_and_nothing_else(paths: Paths) -> None:
    (paths.ledger).mkdir()
    (paths.ledger / "entry.json").touch()
    assert installation.remove(paths, keep=False, keep_ledger=True) == []
    assert [path.name for path in paths.var.rglob("*")] == ["ledger", "entry.json"]
    assert not paths.etc.exists()


def test_uninstalling_leaves_a_command_that_is_not_ours(paths: Paths) -> None:
    command = installation.command(paths)
    command.parent.mkdir(parents=True)
    command.write_text("theirs")
    installation.remove(paths, keep=False)
    assert command.read_text() == "theirs"


def test_what_cannot_be_removed_is_named_and_the_rest_is_gone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        if path == paths.run:
            raise OSError(16, "Device or resource busy", str(path))
        discard(path)

    monkeypatch.setattr("agent.host.installation.discard", refuse)
    assert installation.remove(paths, keep=False) == [f"{paths.run} (Device or resource busy)"]
    assert not paths.var.exists()
