"""The command line as a person meets it: help, errors, exit codes, the JSON envelope."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.commands.cycle import first_interrupt
from agent.cli.config_repo import inventory_names
from agent.cli.main import cli, run
from agent.cli.output import Output
from agent.cli.table import load_command
from agent.errors import SettingsError, UsageError, together
from agent.inventory.schema import SCHEMAS
from agent.system import mask
from tests.cli.terminal import Terminal

REPOSITORY = Path(__file__).parents[2]


def hostwright(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-I", "-m", "agent", *arguments], capture_output=True, text=True, check=False, **more
    )


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"])
def test_a_command_without_one_of_its_three_streams_ends_as_with_it(closed: str) -> None:
    argv = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-I", "-m", "agent", "--json", "schema", "nothing"]
    found = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, "Traceback" in found.stderr) == (2, False)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_overview_says_of_a_command_what_its_own_help_begins_with(name):
    shown, command = cli.commands[name], load_command(name)
    assert command.help
    assert shown.hidden == command.hidden
    assert shown.hidden or shown.get_short_help_str(80) == command.get_short_help_str(80)


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


def test_interrupting_is_130(capsys):
    def stop(**_):
        raise KeyboardInterrupt

    assert run(["plan"], stop) == 130
    assert capsys.readouterr() == ("", "")
    assert run(["plan", "--json"], stop) == 130
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["exit"], envelope["error"]["kind"]) == (130, "interrupted")


@pytest.fixture
def unread() -> Iterator[int]:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize(("stream", "name", "status"), [("stdout", "site", 0), ("stderr", "nothing", 2)])
def test_where_its_reader_has_gone_a_command_ends_as_with_it(unread: int, stream: str, name: str, status: int) -> None:
    argv = [sys.executable, "-I", "-m", "agent", "schema", name]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: unread}
    done = subprocess.run(argv, **streams, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in f"{done.stdout}{done.stderr}") == (status, False)


def test_schema_without_a_name_prints_all_of_them_by_name():
    told = json.loads(hostwright("schema").stdout)
    assert told == {name: json.loads(hostwright("schema", name).stdout) for name in SCHEMAS}
    assert json.loads(hostwright("--json", "schema").stdout)["data"] == told


@pytest.mark.parametrize(
    ("argument", "environment"), [("--help", {}), ("--version", {}), ("", {"_HOSTWRIGHT_COMPLETE": "zsh_source"})]
)
def test_help_and_completion_that_nobody_reads_are_no_failure(
    unread: int, argument: str, environment: dict[str, str]
) -> None:
    argv = [sys.executable, "-I", "-m", "agent", *argument.split()]
    done = subprocess.run(
        argv, check=False, stdout=unread, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("gone", ["unread", "full"])
def test_what_tells_of_work_does_not_break_it_off(unread: int, gone: str) -> None:
    with open(unread if gone == "unread" else "/dev/full", "w", closefd=gone == "full") as file:
        output = Output(err=file)
        for _ in range(2):
            output.say("an operation ended")
        assert Path(f"/proc/self/fd/{file.fileno()}").readlink() == Path(os.devnull)


def test_the_first_interrupt_is_obeyed_where_nobody_reads_what_it_says(unread: int) -> None:
    program = (
        "import signal, sys; from agent.cli.commands.cycle import first_interrupt; "
        "came = first_interrupt(lambda: None); signal.raise_signal(signal.SIGINT); sys.exit(5 if came.is_set() else 0)"
    )
    assert subprocess.run([sys.executable, "-I", "-c", program], stderr=unread, check=False, timeout=60).returncode == 5


def test_output_that_cannot_be_written_is_told():
    argv = [sys.executable, "-I", "-m", "agent", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 3
    assert "hostwright: stdout: No space left on device" in done.stderr


def test_help_tells_the_exit_codes():
    told = " ".join(hostwright("--help").stdout.split())
    assert "10 changes wanted" in told
    assert "On a host" in told


def test_what_has_no_terminal_gets_no_colour(tmp_path):
    done = hostwright("--repo", str(tmp_path), "check")
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr


def test_the_options_of_every_command_may_stand_behind_it_too():
    where = ("--repo", str(REPOSITORY), "--inventory=local", "--json")
    before, behind = hostwright(*where, "check"), hostwright("check", *where)
    assert behind.returncode == 0
    assert json.loads(behind.stdout) == json.loads(before.stdout)


def test_the_version_may_be_asked_for_behind_a_command_too():
    assert hostwright("check", "--version").stdout == hostwright("--version").stdout


def test_an_option_of_every_command_that_lacks_its_value_is_named(tmp_path):
    done = hostwright("check", "--repo", cwd=tmp_path)
    assert (done.returncode, "'--repo' requires an argument" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["check", "setup"])
def test_an_inventory_may_be_called_like_a_command(name: str) -> None:
    envelope = json.loads(hostwright("--inventory", name, "schema", "nope", "-vv", "--json").stdout)
    assert (envelope["command"], "'nope'" in envelope["error"]["message"]) == ("schema", True)


@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_whoever_is_not_root_cannot_be_the_daemon(options: tuple[str, ...]) -> None:
    program = (
        "import os, sys, agent.__main__, agent.cli.main, agent.cli.commands.daemon, agent.system.late_methods\n"
        "os.geteuid() or os.seteuid(65534)\n"  # what Python imports may be for root's eyes alone
        "agent.__main__.main()"
    )
    argv = [sys.executable, "-c", program, "daemon", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        ["hostwright: this command needs root", "  → run it with sudo"],
    )


def test_with_json_a_usage_error_is_in_the_envelope():
    envelope = json.loads(hostwright("schema", "nope", "--json").stdout)
    assert (envelope["command"], envelope["exit"], envelope["error"]["kind"]) == ("schema", 2, "usage")


def test_what_is_shown_is_what_was_written_also_where_it_looks_like_an_emoji(capsys):
    Output().show("a:key:b [red]")
    assert capsys.readouterr().out == "a:key:b [red]\n"


def test_talk_cannot_move_the_cursor_of_a_terminal(capsys):
    Output().say("a\x1b[2Jb\u202e")
    assert capsys.readouterr().err == "a\\x1b[2Jb\\u202e\n"


@pytest.mark.parametrize("say", [Output.say, Output.show, lambda output, text: output.problem(UsageError(text))])
def test_a_line_that_others_wrote_does_not_pass_for_one_of_ours(capsys, say):
    say(Output(), "remote: no\nhostwright: all is well\n")
    assert "".join(capsys.readouterr()).splitlines()[1:] == ["  | hostwright: all is well"]


def test_several_problems_are_told_on_lines_of_their_own(capsys):
    first, second = UsageError("one", hint="do that"), UsageError("remote: no\nhostwright: all is well", hint="do this")
    Output().problem(together([first, second]))
    assert capsys.readouterr().err.splitlines() == [
        "hostwright: one (do that)",
        "remote: no",
        "  | hostwright: all is well (do this)",
    ]


def test_the_first_interrupt_lets_the_operation_end_and_the_second_is_obeyed():
    before, stops = signal.getsignal(signal.SIGINT), []
    try:
        came = first_interrupt(lambda: stops.append(1))
        signal.raise_signal(signal.SIGINT)
        assert (came.is_set(), stops) == (True, [1])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_folder_that_cannot_be_looked_into_has_no_inventories(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    me = os.geteuid()
    try:
        os.seteuid(me or 65534)
        assert inventory_names(closed) == []
    finally:
        os.seteuid(me)


def test_a_folder_that_is_gone_is_no_bug(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$0" -I -m agent check'
    done = subprocess.run(["sh", "-c", script, sys.executable], cwd=gone, capture_output=True, text=True, check=False)
    assert (done.returncode, "the folder that you are in is gone" in done.stderr) == (2, True)


def test_a_row_of_a_table_is_one_line_where_there_is_no_terminal(capsys):
    Output().show_table(("what",), [("word " * 100,)])
    assert len(capsys.readouterr().out.splitlines()) == 2


MARKUP = "file:[/etc/x] [a-z]+ {task} :smile: \x1b[2J"


def test_a_line_that_is_said_while_something_moves_stands_above_it(terminal):
    written = Terminal()
    output = Output(err=written)
    spinner = output.spinner()
    spinner.show("moving")
    output.say("done [1]")
    spinner.stop()
    assert "done [1]\n" in written.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    for name, value in {"TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)


def test_what_goes_on_now_is_no_markup(terminal):
    written = Terminal()
    spinner = Output(err=written).spinner()
    for _ in range(2):
        spinner.show(MARKUP)
    spinner.stop()
    assert "[/etc/x] [a-z]+ {task} :smile: \\x1b[2J" in written.getvalue()


def test_what_is_fetched_now_is_no_markup(terminal):
    written = Terminal()
    with Output(err=written).downloads() as progress_of:
        progress_of(MARKUP)(1, 2)
    assert "[/etc/x] [a-z]+ {task} :smile: \\x1b[2J" in written.getvalue()


def test_what_is_shown_cannot_move_the_cursor_of_a_terminal_behind_a_pipe(capsys):
    Output().show("a\x1b[2J", "\tb")
    assert capsys.readouterr().out == "a\\x1b[2J\n\tb\n"


def test_a_wrong_option_cannot_move_the_cursor_of_a_terminal():
    assert "\x1b" not in hostwright("status", "--\x1b[2J").stderr


def test_json_holds_what_is_no_text_and_nothing_that_a_terminal_obeys(capsys):
    Output(as_json=True).envelope("x", 0, "\x9b\x7f\udcff\u202eü")
    written = capsys.readouterr().out
    assert written.replace("\n", "").isprintable()
    assert json.loads(written)["data"] == "\x9b\x7f\udcff\u202eü"


def test_masking_leaves_the_envelope_and_its_numbers_whole(capsys, monkeypatch):
    monkeypatch.setattr(mask, "_values", set())
    monkeypatch.setattr(mask, "_ordered", [])
    mask.remember_all(["1234", "data", 'a"b\n'])
    document = {"at": 1764123400.0, "x1234": ["is 1234", ('a"b\n', None)]}
    Output(as_json=True).envelope("x", 0, document, UsageError("no", hint="1234"))
    told = json.loads(capsys.readouterr().out)
    assert told["data"] == {"at": 1764123400.0, "x[secret]": ["is [secret]", ["[secret]", None]]}
    assert told["error"]["hint"] == "[secret]"


def test_a_record_of_the_log_is_one_line(capsys):
    code = "import logging; from agent.system.log import log_to_stderr; log_to_stderr(logging.INFO)\n"
    code += "logging.getLogger('x').warning('%s', 'a\\n<0>b\\x1b[2J')\n"
    code += "try: raise ValueError('a\\n<0>b\\x1b')\nexcept ValueError: logging.getLogger('x').exception('no')"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    first, second, *trace = told.splitlines()
    assert (first, second) == ("a\\n<0>b\\x1b[2J", "no")
    assert all(line.startswith("  ") and line.isprintable() for line in trace)


def test_a_disk_that_refuses_is_no_bug(capsys):
    def refused(**_):
        raise OSError(errno.EROFS, "Read-only file system", "/var/lib/hostwright")

    assert run(["apply"], refused) == 3
    told = capsys.readouterr().err
    assert "hostwright: /var/lib/hostwright: Read-only file system" in told
    assert "bug" not in told


def test_inventory_reads_what_ansible_reads_and_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "inventories/demo"
    folder.mkdir(parents=True)
    (folder / "hosts.yaml").write_text("all: {hosts: {a: {n: 1}}}\n")
    for more in ("", "- hosts: nobody: ["):
        assert run(["--repo", f"{tmp_path}", "inventory", "--host", "a"]) == 0
        assert json.loads(capsys.readouterr().out) == {"n": 1}
        (folder / "site.yaml").write_text(more)


def test_every_complaint_of_check_has_fields_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "inventories/demo"
    folder.mkdir(parents=True)
    (folder / "hosts.yaml").write_text("all: {hosts: {a: }}\n")
    (folder / "site.yaml").write_text("- hosts: all\n  deploys:\n    - files: {/etc/a: {contnt: x}}\n- hosts: b\n")
    assert run(["--json", "--repo", f"{tmp_path}", "check"]) == 6
    complaints = json.loads(capsys.readouterr().out)["error"]["complaints"]
    assert [(one["file"], one["line"], one["column"], one["path"]) for one in complaints] == [
        ("inventories/demo/site.yaml", 3, 24, "[0].deploys[0].files./etc/a"),
        ("inventories/demo/site.yaml", 4, 3, "[1].deploys"),
        ("inventories/demo/site.yaml", 4, 10, "[1].hosts"),
    ]
    assert (complaints[0]["message"], complaints[0]["remedy"]) == ('unknown key "contnt"', 'did you mean "content"?')
    assert all(one["message"] and one["remedy"] for one in complaints)
