"""What the administrator's commands say where there is nothing yet: no inventory, no host, no play, no signer."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.main import run


@pytest.mark.parametrize(
    ("path", "content", "hint"),
    [
        ("hosts.yaml", "all: {hosts: {}}\n", "hosts.yaml: no hosts are in here; `hostwright enroll USER@"),
        ("site.yaml", "", "site.yaml: no plays are in here; begin with `- hosts: all`"),
        ("site.yaml", "[]\n", "site.yaml: no plays are in here"),
        ("trusted_signers", "", "trusted_signers: nobody is named here"),
        ("trusted_signers", "# soon\n", "trusted_signers: nobody is named here"),
    ],
)
def test_a_file_that_says_nothing_is_a_hint_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, content: str, hint: str
) -> None:
    folder = tmp_path / "inventories/demo"
    folder.mkdir(parents=True)
    (folder / "hosts.yaml").write_text("all: {hosts: {web1: }}\n")
    (folder / "site.yaml").write_text("- {hosts: all, deploys: [{motd: x}]}\n")
    (folder / path).write_text(content)
    assert run(["--repo", f"{tmp_path}", "check"]) == 0
    assert f"inventories/demo/{hint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["check", "lock", "lock --check", "inventory --list", "status", "admit", "plan a", "retire a", "secret list"],
)
def test_a_folder_without_inventories_is_told_how_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(["--repo", f"{tmp_path}", *command.split()]) == 2
    assert "`hostwright init DIR` makes a new one" in capsys.readouterr().err


def test_an_inventory_without_files_is_told_what_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inventories/demo").mkdir(parents=True)
    assert run(["--repo", f"{tmp_path}", "check"]) == 6
    assert "write hosts.yaml and site.yaml into that folder" in capsys.readouterr().err


def test_hosts_are_not_admitted_where_there_is_no_git(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inventories/demo").mkdir(parents=True)
    assert run(["--repo", f"{tmp_path}", "admit"]) == 2
    assert "is no Git repository" in capsys.readouterr().err
