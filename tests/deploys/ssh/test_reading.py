"""sshd_config(5): of most settings the first one counts, Includes are read where they stand, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.ssh.host import shuts_out
from agent.deploys.ssh.reading import Configuration
from agent.errors import DeployError

INCLUDE = "Include {folder}/sshd_config.d/*.conf\n"


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sshd_config.d").mkdir()

    def configured(self, main: str, text: str, **drop_ins: str) -> Configuration:
        (self.folder / "sshd_config").write_text(main.format(folder=self.folder))
        for name, content in drop_ins.items():
            (self.folder / "sshd_config.d" / f"{name}.conf").write_text(content)
        drop_in = self.folder / "sshd_config.d/00-hostwright.conf"
        return Configuration(text, f"{self.folder}/sshd_config", f"{drop_in}")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    "main",
    [
        INCLUDE + "Port 22\nPasswordAuthentication yes\n",
        "include sshd_config.d/*.conf\n#PasswordAuthentication yes\n",
        INCLUDE + "Match User ann\nPasswordAuthentication yes\n",
        'Include "{folder}/sshd_config.d/*.conf"\n',
    ],
)
def test_what_comes_first_is_in_force(files: Files, main: str) -> None:
    config = files.configured(main, "PasswordAuthentication no\n", later="PasswordAuthentication yes\n")
    assert config.obstacle(["passwordauthentication"]) == ""


@pytest.mark.parametrize(
    "main", ["\npasswordauthentication = yes\n" + INCLUDE, "\nPasswordAuthentication\tyes\n" + INCLUDE]
)
def test_the_file_and_line_that_come_first_are_named(files: Files, main: str) -> None:
    config = files.configured(main, "PasswordAuthentication no\n")
    assert config.obstacle(["passwordauthentication"]) == (
        f"{files.folder}/sshd_config, line 2, sets passwordauthentication as well"
    )
    assert config.obstacle(["maxauthtries"]) == ""


def test_a_drop_in_that_sorts_before_ours_is_named(files: Files) -> None:
    (files.folder / "sshd_config.d/00-a.conf").write_text("MaxAuthTries 9\n")
    config = files.configured(INCLUDE, "MaxAuthTries 3\n")
    assert "00-a.conf, line 1" in config.obstacle(["maxauthtries"])


@pytest.mark.parametrize("main", ["Port 22\n", "Include /etc/elsewhere/*.conf\n", "Match User ann\n" + INCLUDE])
def test_a_drop_in_that_nobody_includes_is_not_in_force(files: Files, main: str) -> None:
    assert "does not include it" in files.configured(main, "MaxAuthTries 3\n").obstacle(["maxauthtries"])


def test_lists_of_who_may_enter_add_up_wherever_they_stand(files: Files) -> None:
    config = files.configured(INCLUDE + "AllowGroups everybody\nAcceptEnv LANG\n", "AllowGroups admin\nAcceptEnv TZ\n")
    assert "sshd_config, line 2, sets allowgroups" in config.obstacle(["allowgroups"])
    assert config.obstacle(["acceptenv"]) == "", "other languages hurt nobody"


def test_files_that_include_each_other_end(files: Files) -> None:
    config = files.configured(INCLUDE, "MaxAuthTries 3\n", a="Include sshd_config\nMaxAuthTries 4\n")
    assert config.obstacle(["maxauthtries"]) == ""


def test_a_configuration_is_tried_with_our_file_in_its_place_among_the_others(files: Files) -> None:
    config = files.configured(INCLUDE + "Port 22\n", "", b="", a="")
    folder = files.folder / "sshd_config.d"
    assert config.main_reading_drop_in_from("/tried") == f"Include /tried {folder}/a.conf {folder}/b.conf\nPort 22\n"


def test_a_host_without_sshd_config_says_so(files: Files) -> None:
    config = files.configured("", "")
    (files.folder / "sshd_config").unlink()
    with pytest.raises(DeployError, match="cannot be read"):
        config.obstacle([])


OPEN = {"passwordauthentication": frozenset({"no"}), "pubkeyauthentication": frozenset({"yes"})}


@pytest.mark.parametrize(
    ("effective", "why"),
    [
        (OPEN, ""),
        ({**OPEN, "pubkeyauthentication": frozenset({"no"})}, "switched off"),
        ({**OPEN, "allowusers": frozenset({"ann", "nobody-such"})}, ""),
        ({**OPEN, "allowusers": frozenset({"zoe@10.0.0.1"})}, "zoe"),
        ({**OPEN, "allowgroups": frozenset({"staff"})}, "no such groups"),
    ],
)
def test_settings_that_let_nobody_in_are_known(effective: dict[str, frozenset[str]], why: str) -> None:
    assert why in shuts_out(effective, lambda name: name == "ann", lambda _name: False)
    assert bool(shuts_out(effective, lambda name: name == "ann", lambda _name: False)) is bool(why)
