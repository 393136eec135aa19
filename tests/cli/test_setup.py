"""The options that bootstrap.sh hands over to setup: taken whole or refused, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.commands.setup import setup
from agent.cli.main import run


def test_setup_takes_what_bootstrap_hands_over(tmp_path: Path) -> None:
    told = tmp_path / "options"
    told.write_text("--repo=https://u:p=w@h/x y\n--status-repo=https://t@h/s\n--trust=signed\n--end\n")
    taken = setup.make_context("setup", ["--options", f"{told}"]).params
    assert {name: value for name, value in taken.items() if value} == {
        "repo": "https://u:p=w@h/x y",
        "status_repo": "https://t@h/s",
        "trust": "signed",
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("", "--options ends without a line --end"),
        ("--repo=https://u:hunter2@h/x\n", "--options ends without a line --end"),
        ("--repo=https://u:hunter2@h/x\n--end", "--options ends without a line --end"),
        ("--repo https://u:hunter2@h/x\n--end\n", "line 1 of --options is no option of setup"),
        ("--host=a\n--bogus=hunter2\n--end\n", "line 2 of --options is no option of setup"),
        ("--plan=hunter2\n--end\n", "line 1 of --options is no option of setup"),
        ("--options=hunter2\n--end\n", "line 1 of --options is no option of setup"),
        ("--trust=hunter2\n--end\n", "line 1 of --options: --trust has a wrong value"),
        ("--ca=/hunter2\n--end\n", "line 1 of --options: --ca has a wrong value"),
        ("--repo=hunter2\0\n--end\n", "line 1 of --options: --repo has a wrong value"),
        ("--repo=hunter2\r\n--end\n", "line 1 of --options: --repo has a wrong value"),
        ("--host=\n--end\n", "line 1 of --options: --host has a wrong value"),
    ],
)
def test_setup_refuses_options_that_are_wrong_or_cut_off_and_shows_no_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str, said: str
) -> None:
    (tmp_path / "options").write_bytes(told.encode())
    code = run(["setup", "--options", f"{tmp_path}/options"])
    error = capsys.readouterr().err
    assert (code, said in error, "hunter2" in error) == (2, True, False), error
