from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.deploys.at_path import CONTENT_LIMIT
from agent.deploys.users import sudoers
from agent.deploys.users.ssh_folder import NOTHING, ssh_folder
from agent.system.safe_open import UnsafePath
from tests.deploys.users.test_keys import ANN


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ssh = tmp_path / "home/.ssh"
    ssh.mkdir(parents=True, mode=0o700)
    (ssh / "authorized_keys").write_text(f"{ANN}\n")
    (ssh / "authorized_keys").chmod(0o600)
    return tmp_path / "home"


def test_keys_are_read_with_modes_and_owner(home: Path) -> None:
    found = ssh_folder(str(home))
    assert found.text == f"{ANN}\n"
    assert found.proper(os.getuid())
    assert not found.proper(os.getuid() + 1)


def test_keys_in_the_second_file_let_in_too(home: Path) -> None:
    (home / ".ssh/authorized_keys").rename(home / ".ssh/authorized_keys2")
    assert ssh_folder(str(home)).text == ""
    assert ssh_folder(str(home)).lets_in == {os.getuid()}


def test_a_file_that_others_may_read_is_not_as_it_should_be(home: Path) -> None:
    (home / ".ssh/authorized_keys").chmod(0o644)
    assert not ssh_folder(str(home)).proper(os.getuid())


def test_without_a_home_or_a_folder_there_are_no_keys(tmp_path: Path) -> None:
    assert ssh_folder(str(tmp_path / "nobody")) == NOTHING
    assert ssh_folder(str(tmp_path)) == NOTHING


def test_a_link_out_of_the_home_is_not_followed(home: Path, tmp_path: Path) -> None:
    (home / ".ssh").rename(tmp_path / "elsewhere")
    (home / ".ssh").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath, match="is a link"):
        ssh_folder(str(home))


def test_a_link_in_place_of_the_file_is_not_followed(home: Path) -> None:
    (home / ".ssh/authorized_keys").rename(home / ".ssh/mine")
    (home / ".ssh/authorized_keys").symlink_to("mine")
    with pytest.raises(UnsafePath, match="is a link"):
        ssh_folder(str(home))


def test_a_file_too_large_to_read_is_left_alone(home: Path) -> None:
    os.truncate(home / ".ssh/authorized_keys", CONTENT_LIMIT + 1)
    with pytest.raises(UnsafePath, match="too large"):
        ssh_folder(str(home))


def test_a_file_belongs_to_its_owner_and_no_file_to_nobody(home: Path) -> None:
    assert ssh_folder(str(home)).is_of(os.getuid())
    assert not ssh_folder(str(home)).is_of(os.getuid() + 1)
    assert not NOTHING.is_of(os.getuid())


@pytest.mark.timeout(60)
def test_a_fifo_in_place_of_the_file_is_not_waited_for(home: Path) -> None:
    (home / ".ssh/authorized_keys").unlink()
    os.mkfifo(home / ".ssh/authorized_keys")
    with pytest.raises(UnsafePath, match="FIFO"):
        ssh_folder(str(home))


def test_a_rule_that_nobody_could_check_is_written_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sudoers, "FOLDER", tmp_path)
    monkeypatch.setattr(sudoers.shutil, "which", lambda *_, **__: None)
    assert "was not checked" in sudoers.write("ann", "ann ALL=(ALL) ALL\n")
    assert (tmp_path / "hostwright-ann").read_text() == "ann ALL=(ALL) ALL\n"
