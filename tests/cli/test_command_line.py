"""The command line as a person meets it: help, errors, exit codes, the JSON envelope."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from agent.cli.main import SECTIONS, cli, run
from agent.errors import SettingsError


def hostwright(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-I", "-m", "agent", *arguments], capture_output=True, text=True, check=False, **more
    )


def test_every_command_is_in_the_help_under_the_people_who_use_it():
    listed = {name for names in SECTIONS.values() for name in names}
    assert listed == {name for name, command in cli.commands.items() if not command.hidden}


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_says_what_it_does(name):
    assert cli.commands[name].help


def test_an_unknown_command_is_a_usage_error():
    done = hostwright("aply")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command" in done.stderr


def test_an_expected_error_is_one_line_and_one_hint(capsys):
    def fail(**_):
        raise SettingsError("agent.yaml is missing", hint="run bootstrap.sh")

    assert run(["plan"], fail) == 3
    assert capsys.readouterr().err == "hostwright: agent.yaml is missing\n  → run bootstrap.sh\n"


def test_with_json_an_error_is_in_the_envelope(capsys):
    def fail(**_):
        raise SettingsError("agent.yaml is missing", hint="run bootstrap.sh")

    run(["--json", "plan"], fail)
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["format"], envelope["command"], envelope["exit"]) == (1, "plan", 3)
    assert envelope["error"]["kind"] == "settings"


def test_a_bug_ends_with_1_and_with_a_report_ready_to_send(capsys):
    def fail(**_):
        raise ZeroDivisionError("division by zero")

    assert run(["plan"], fail) == 1
    told = capsys.readouterr().err
    assert "this is a bug: ZeroDivisionError" in told
    assert "Traceback" in told


def test_interrupting_is_130():
    def stop(**_):
        raise KeyboardInterrupt

    assert run(["plan"], stop) == 130


def test_a_reader_that_has_seen_enough_is_no_error():
    def stop(**_):
        raise BrokenPipeError

    assert run(["events"], stop) == 0


def test_help_tells_the_exit_codes():
    told = " ".join(hostwright("--help").stdout.split())
    assert "10 changes wanted" in told
    assert "On a host" in told


def test_what_has_no_terminal_gets_no_colour(tmp_path):
    done = hostwright("--repo", str(tmp_path), "check")
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
