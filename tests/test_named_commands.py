"""A command that stands in a comment, a page or a message can be typed: each is parsed by the real command line."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli.main import cli, run

ROOT = Path(__file__).parents[1]

SHIPPED = [
    path
    for pattern in (
        "inventories/**/*",
        "dotfiles/**/*",
        "deploys/**/*",
        "scripts/*",
        "tests/run",
        "tests/lock",
        ".ci/*",
        "*.sh",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and "__pycache__" not in path.parts
]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "agent").rglob("*.py"))

PROGRAMS = ("hostwright", "ansible-inventory", "bash", "sh")
NAMES = re.compile(rf"\b(?:{'|'.join(PROGRAMS)})\b")
COMMAND = re.compile(rf"(?:{'|'.join(PROGRAMS)}) [^`\n]+")

STAND_INS = {"N": "1", "SHA": "a" * 40, "KEY": "file:/etc/motd", "DURATION": "4h", "…": "x", "...": "x"}
"""What stands for something else in a page."""

ANSIBLE = Path(sys.executable).with_name("ansible-inventory")


def commands(text: str) -> Iterator[str]:
    """In backticks, or in a line of their own that is indented, or behind a prompt."""
    for found in re.findall(r"`([^`\n]+)`", text):
        if COMMAND.fullmatch(found):
            yield found
    for line in re.findall(r"^(?:#? {3,}|[$#] )(.+)$", text, re.MULTILINE):
        if COMMAND.fullmatch(line):
            yield re.split(r" {2,}|\s#\s", line)[0]


def _named() -> Iterator[tuple[str, str]]:
    for path in (*SHIPPED, *PAGES):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        yield from ((f"{path.relative_to(ROOT)}", command) for command in commands(text))
    for path, text in ((path, path.read_text()) for path in SOURCES):
        for node in ast.walk(ast.parse(text)) if NAMES.search(text) else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from ((f"{path.relative_to(ROOT)}", found) for found in commands(node.value))


@pytest.fixture(scope="module")
def named() -> list[tuple[str, str]]:
    """Where a command is named, and the command."""
    return sorted(set(_named()))


def parse(arguments: list[str]) -> None:
    """As the command line does, without doing anything. Raises click.ClickException."""
    command: click.Command = cli
    context = cli.make_context("hostwright", arguments)
    while isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context, command = found.make_context(name, rest, parent=context), found


def _refusal(command: str) -> str:
    """What our command line says of one that cannot be typed."""
    typed = re.split(r" (?:\||&&|>|2>)", command)[0].replace("[", "").replace("]", "").split("; ")[0]
    words = [STAND_INS.get(word, word) for word in shlex.split(typed)[1:]]
    try:
        parse(words)
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, click.MissingParameter, click.BadOptionUsage):
        pass  # --help, or a group; and where a command is only named: what else it takes stands in its help
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_a_command_of_ours_that_is_named_can_be_typed(named: list[tuple[str, str]]) -> None:
    ours = [each for each in named if each[1].startswith("hostwright ")]
    assert len(ours) > 200
    assert [(*each, refusal) for each in ours if (refusal := _refusal(each[1]))] == []


def test_a_script_that_is_named_is_there_and_knows_its_options(named: list[tuple[str, str]]) -> None:
    unknown = []
    for where, command in named:
        if re.match("(ba)?sh [^-]", command):
            _, script, *options = shlex.split(command.split(" -- ", maxsplit=1)[0])
            assert (ROOT / script).is_file(), f"{where}: {command}"
            text = (ROOT / script).read_text()
            unknown += [
                (where, one) for one in options if one.startswith("--") and one not in text and '"$@"' not in text
            ]
    assert unknown == []


@pytest.mark.skipif(not ANSIBLE.exists(), reason="ansible-core is not installed")
def test_the_commands_at_the_head_of_the_example_say_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = (ROOT / "inventories/example/hosts.yaml").read_text().partition("\nall:")[0]
    theirs, ours = commands(head)
    monkeypatch.chdir(ROOT)
    done = subprocess.run([f"{ANSIBLE}", *shlex.split(theirs)[1:]], capture_output=True, check=True, timeout=60)
    assert run(shlex.split(ours)[1:]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(done.stdout)


def test_commands_are_found_where_they_stand(named: list[tuple[str, str]]) -> None:
    places = {where.split("/")[0] for where, _ in named}
    assert {"inventories", "docs", "agent", "README.md", "tests"} <= places
    assert len(named) > 50
