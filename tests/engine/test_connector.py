"""``@here`` answers as ``@local`` does: every fact of pyinfra, over files of every kind, with every kind of name."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyinfra.connectors.util
import pyinfra.facts
import pytest
from gevent.fileobject import FileObject
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.command import StringCommand
from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all
from pyinfra.api.facts import FactBase, get_fact
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_state
from pyinfra.facts import files, server

from agent.engine import connector
from agent.engine.facts import known
from agent.engine.output import read_buffer
from agent.engine.this_host import this_host
from tests.drawing import cases
from tests.engine.conftest import Bench

Told = tuple[str, list[tuple[bool, list[str]]]]

MOVING = {"Date", "Uptime", "LoadAverage", "Memory", "Processes", "Ports", "BlockDevices", "Sysctl"}
"""Facts that the next moment answers in another way."""

OF_ANYTHING: tuple[type[FactBase[Any]], ...] = (
    *(files.File, files.Link, files.Directory, files.Socket),
    *(files.FindFiles, files.FindLinks, files.FindDirectories, files.Flags),
)
OF_CONTENT: tuple[type[FactBase[Any]], ...] = (
    *(files.Sha1File, files.Sha256File, files.Sha384File, files.Md5File, files.FileContents, files.Block),
)
ARGUMENTS: Mapping[str, object] = {
    "path": "/etc/passwd",
    "user": "root",
    "command": "ls -l /etc/hosts; echo oops >&2",
    "package": "base-files",
    "pattern": "^root:.*$",
    "directories": ["/usr/share/keyrings"],
    "port": 22,
}
"""For the parameters that a fact needs, by their names; any other gets a word."""

NAMES = st.text(st.sampled_from("ab-.~* '\"\\$`\n\t\udcff\xfc!%=#"), min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)
CONTENT = st.one_of(
    st.binary(max_size=40),
    st.text(st.sampled_from("ab# \r\n\0\xfc"), max_size=60).map(str.encode),
    st.sampled_from([b"x\n# BEGIN PYINFRA BLOCK\na\n\nb\n# END PYINFRA BLOCK\ny", b"# BEGIN PYINFRA BLOCK\nopen\n"]),
)
KINDS = ("file", "folder", "link", "dangling", "socket", "fifo", "sparse", "closed")


@dataclass
class Side:
    """A host by one connector, with the output of each command that it ran."""

    inventory: Inventory
    ran: list[tuple[bool, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.inventory, Config())
        (self.host,) = self.inventory
        connect_all(self.state)
        self.state.set_stage(StateStage.Prepare)
        run = self.host.connector.run_shell_command

        def noted(*args: Any, **kwargs: Any) -> Any:
            ok, output = run(*args, **kwargs)
            self.ran.append((ok, output.stdout_lines))
            return ok, output

        self.host.connector.run_shell_command = noted  # type: ignore[method-assign]

    def told(self, fact: type[FactBase[Any]], **arguments: object) -> Told:
        """Its value, or how it fails; and what its commands wrote."""
        self.ran.clear()
        ctx_state.set(self.state)
        ctx_host.set(self.host)
        ctx_config.set(self.state.config)
        try:
            value = get_fact(self.state, self.host, fact, [], arguments, apply_failed_hosts=False)
        except Exception as error:
            value = error
        return repr(value), list(self.ran)


def popen(command: str, **arguments: Any) -> Any:
    """What pyinfra gets from gevent, without a fork of this process, which is large once all tests are collected."""
    process: Any = subprocess.Popen(command, **arguments)
    for name in ("stdout", "stderr"):
        with getattr(process, name) as stream:
            setattr(process, name, FileObject(os.dup(stream.fileno()), "rb"))
    return process


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    """This host by ``@local`` and by ``@here``."""
    with pytest.MonkeyPatch.context() as patch:
        # pyinfra's own dies at the first byte that is not UTF-8.
        patch.setattr(pyinfra.connectors.util, "read_buffer", read_buffer)
        patch.setattr(pyinfra.connectors.util, "Popen", popen)
        yield Side(Inventory((["@local"], {}))), Side(this_host({}))
    for manager in (ctx_state, ctx_host, ctx_config):
        manager.reset()


def fact_classes() -> list[type[FactBase[Any]]]:
    found = pkgutil.walk_packages(pyinfra.facts.__path__, "pyinfra.facts.")
    values = (value for module in found for value in vars(importlib.import_module(module.name)).values())
    facts = {value for value in values if inspect.isclass(value) and issubclass(value, FactBase)}
    return sorted((fact for fact in facts if callable(getattr(fact, "command", None))), key=lambda fact: fact.name)


def marked(fact: type[FactBase[Any]]) -> Any:
    """Those that look for all releases of Python take ten seconds each."""
    slow = fact.name.startswith("uv.") and "Pythons" in fact.name
    marks = [pytest.mark.long] if slow else []
    return pytest.param(fact, id=fact.name, marks=marks)


@pytest.mark.parametrize("fact", [marked(fact) for fact in fact_classes()])
def test_every_fact_of_pyinfra_is_the_same(sides: tuple[Side, Side], fact: type[FactBase[Any]]) -> None:
    needed = [
        name
        for name, parameter in inspect.signature(fact.command).parameters.items()
        if parameter.default is parameter.empty and name != "self"
    ]
    arguments = {name: ARGUMENTS.get(name, "word") for name in needed}
    for _ in range(5):  # other tests mount, listen and change interfaces meanwhile
        told, here = (side.told(fact, **arguments) for side in sides)
        if here == told or fact.__name__ in MOVING:
            break
    if fact.__name__ in MOVING:
        assert re.sub(r"\d+", "0", here[0])[:1] == re.sub(r"\d+", "0", told[0])[:1]
    else:
        assert here == told


def make(kind: str, path: Path, content: bytes) -> None:
    match kind:
        case "folder":
            path.mkdir()
            for name in ("inner\n.conf", "plain", "\udcff"):
                (path / name).write_bytes(content)
            (path / "link").symlink_to("plain")
        case "link":
            path.symlink_to("/etc/passwd")
        case "dangling":
            path.symlink_to("gone" + os.fsdecode(content[:20].replace(b"\0", b"")))
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(os.fsencode(path))
        case "fifo":
            os.mkfifo(path)
        case _:
            path.write_bytes(content)
            if kind == "sparse":
                os.truncate(path, 1 << 20)
            path.chmod(0 if kind == "closed" else 0o4755)


def assert_alike(sides: tuple[Side, Side], path: str, facts: Iterable[type[FactBase[Any]]]) -> None:
    for fact in facts:
        told, here = (side.told(fact, path=path) for side in sides)
        assert here == told, fact.name


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_at_a_plain_path_is_the_same(sides: tuple[Side, Side], tmp_path: Path, kind: str) -> None:
    content = b"a\n# BEGIN PYINFRA BLOCK\none\n\n# END PYINFRA BLOCK\n\xffb"
    make(kind, tmp_path / "x", content)
    assert_alike(sides, str(tmp_path / "x"), OF_ANYTHING if kind == "fifo" else (*OF_ANYTHING, *OF_CONTENT))
    assert_alike(sides, str(tmp_path / "x" / "y"), (*OF_ANYTHING, *OF_CONTENT))


ASKED_OF_ANYTHING = (files.File, files.Link, files.FindFiles, files.FindLinks, files.FindDirectories)
ASKED_OF_CONTENT = (files.Sha1File, files.FileContents, files.Block)
"""One of each kind of command."""


def compare_trees(sides: tuple[Side, Side], folder: Path, tree: Mapping[str, tuple[str, bytes]]) -> None:
    for name, (kind, content) in tree.items():
        make(kind, folder / name, content)
    assert_alike(sides, str(folder), ASKED_OF_ANYTHING)
    for name, (kind, _) in tree.items():
        asked = ASKED_OF_ANYTHING if kind == "fifo" else (*ASKED_OF_ANYTHING, *ASKED_OF_CONTENT)
        assert_alike(sides, str(folder / name), asked)
        assert_alike(sides, f"{folder / name}/", (files.File, files.FindFiles))
    assert_alike(sides, str(folder / "it's gone"), ASKED_OF_CONTENT)


def compare_searches(sides: tuple[Side, Side], file: Path, content: bytes, pattern: str, extended: bool) -> None:
    file.write_bytes(content)
    told, here = (
        side.told(files.FindInFile, path=str(file), pattern=pattern, extended_regex=extended) for side in sides
    )
    assert here == told


TREES = st.dictionaries(NAMES, st.tuples(st.sampled_from(KINDS), CONTENT), min_size=1, max_size=2)
PATTERNS = st.text(st.sampled_from("abc .*^$[]\\+?(){}|-#='\""), min_size=1, max_size=8)
TEXTS = st.lists(st.text(st.sampled_from("abc .*^$[]\\+?(){}|-#='\"\t"), max_size=8), max_size=8).map("\n".join)


def fresh(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


@pytest.mark.timeout(1200)
@cases(8)
@given(tree=TREES)
def test_generated_trees_are_the_same(
    sides: tuple[Side, Side], tmp_path_factory: pytest.TempPathFactory, tree: dict[str, tuple[str, bytes]]
) -> None:
    compare_trees(sides, fresh(tmp_path_factory.getbasetemp()), tree)


@pytest.mark.timeout(1200)
@cases(60)
@given(text=st.one_of(CONTENT, TEXTS.map(str.encode)), pattern=PATTERNS, extended=st.booleans())
def test_generated_searches_find_the_same(
    sides: tuple[Side, Side], tmp_path_factory: pytest.TempPathFactory, text: bytes, pattern: str, extended: bool
) -> None:
    compare_searches(sides, tmp_path_factory.getbasetemp() / "searched", text, pattern, extended)


COMMANDS = {
    "status": "exit 3",
    "killed": "kill -9 $$",
    "apart": "echo out; echo err >&2; echo more; false",
    "no_input": "cat; read line; echo $?",
    "bytes": r"printf '\377\0x\r\n\n\nlast'",
    "much": "head -c 3000000 /dev/zero | tr '\\0' 'x'; seq 100000; seq 100000 >&2",
    "syntax": "if true; then echo",
    "quotes": """echo 'a"b' "c'd" `echo e` $((1+1)); printf %s "no end" """,
    "state": "cd /; x=1; set -f; exec 3>&1; echo $x; umask",
    "nothing": "",
    "environment": "env | sort | grep -v ^_=; pwd; ulimit -n",
    "in_the_background": "(sleep 0.2; echo late) & echo early",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_any_command_ends_and_writes_the_same(sides: tuple[Side, Side], command: str) -> None:
    results = [side.host.run_shell_command(StringCommand(command), _shell_executable="sh") for side in sides]
    told, here = ((ok, output.stdout_lines, output.stderr_lines) for ok, output in results)
    assert here == told


PECULIAR: Mapping[str, Any] = {
    "chdir": {"_chdir": "/usr"},
    "environment": {"_env": {"X": "a b'c"}},
    "input": {"_stdin": "one\ntwo"},
    "shell": {"_shell_executable": "bash"},
    "statuses": {"_success_exit_codes": [0, 7]},
    "timeout": {"_timeout": 20},
    "sudo": {"_sudo": True, "_sudo_user": "nobody"},
    "su": {"_su_user": "nobody", "_su_shell": "sh"},
}


@pytest.mark.parametrize("arguments", PECULIAR.values(), ids=PECULIAR)
def test_arguments_mean_the_same(sides: tuple[Side, Side], arguments: dict[str, Any]) -> None:
    command = StringCommand('id -u; pwd; echo "$X" "$0"; cat; [ -d /usr ] && exit 7')
    given = {"_shell_executable": "sh", **arguments}
    results = [side.host.run_shell_command(command, **given) for side in sides]
    told, here = ((ok, output.stdout_lines, output.stderr_lines) for ok, output in results)
    assert here == told


def test_pyinfra_asks_in_the_words_that_are_known(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """Or everything is right, and slow."""
    (tmp_path / "x").write_text("x\n")
    asked = {(fact, "path", str(tmp_path / "x")) for fact in (*OF_ANYTHING, *OF_CONTENT)}
    asked |= {(server.Which, "command", "ls"), (server.Home, "user", "root"), (files.FindInFile, "path", "/etc/hosts")}
    slow = []
    for fact, name, value in asked:
        words = {name: value} | ({"pattern": "x"} if fact is files.FindInFile else {})
        command = fact().command(**words)
        if known.answered(command if isinstance(command, str) else command.get_raw_value()) is None:
            slow.append(fact.name)
    assert slow == [files.Flags.name]


def asked(side: Side, path: Path) -> object:
    """The content of a file with a name that only a shell can tell about."""
    return side.host.get_fact(files.FileContents, path=str(path))


@pytest.fixture
def here(sides: tuple[Side, Side]) -> Side:  # for its patch, and what it resets
    side = Side(this_host({}))
    for manager, value in ((ctx_state, side.state), (ctx_host, side.host), (ctx_config, side.state.config)):
        manager.set(value)
    return side


def test_a_question_is_asked_once_until_a_command_runs(here: Side, tmp_path: Path) -> None:
    file = tmp_path / "it's"
    found = []
    for number in range(3):
        file.write_text(f"{number}\n")
        if number == 2:
            here.host.run_shell_command(StringCommand("true"), _shell_executable="sh")
        found.append(asked(here, file))
    assert found == [["0"], ["0"], ["2"]]


def test_nothing_is_remembered_while_a_deploy_is_carried_out(here: Side, tmp_path: Path) -> None:
    here.state.set_stage(StateStage.Execute)
    file = tmp_path / "it's"
    for number in range(2):
        file.write_text(f"{number}\n")
        assert asked(here, file) == [str(number)]


def test_an_answer_is_forgotten_for_who_waits(here: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "REMEMBERED_S", 0.0)
    file = tmp_path / "it's"
    for number in range(2):
        file.write_text(f"{number}\n")
        assert asked(here, file) == [str(number)]


def test_a_command_that_a_deploy_file_asks_for_runs_each_time(here: Side, tmp_path: Path) -> None:
    for _ in range(2):
        here.host.get_fact(server.Command, command=f"echo x >> {tmp_path}/log")
    assert (tmp_path / "log").read_text() == "x\nx\n"


COMPARED = """
from pyinfra.api.command import StringCommand
from pyinfra.connectors.local import LocalConnector
from pyinfra.facts import files as of_files, server as of_server
stock = LocalConnector(host.state, host)
paths = ["/etc/shadow", "/root", "/root/.bashrc", "/proc/1/environ", "/proc/1/cwd", "/var/lib/hostwright", "/srv/gone"]
paths += [str(target / name) for name in ("closed", "shut", "shut/inner", "open")]
facts = [of_files.File, of_files.Link, of_files.Sha1File, of_files.FindFiles, of_files.FileContents, of_files.Block]
asked = [(fact, path) for fact in facts for path in paths]
for fact in (of_files.FindFiles, of_files.Block):  # they walk what others keep there; "shut" is as closed
    asked.remove((fact, "/root"))
commands = [fact().command(path=path) for fact, path in asked]
commands += [of_server.Users().command(), of_server.Groups().command(), "id", "touch /srv/gone", "cat /etc/shadow"]
told = []
for command in commands:
    ways = stock, host.connector
    results = [way.run_shell_command(StringCommand(command), _shell_executable="sh") for way in ways]
    (ok, output), (ok_here, here) = results
    same = ok == ok_here and (output.stdout_lines, output.stderr_lines if not ok else []) == (
        here.stdout_lines, here.stderr_lines if not ok else [])
    told += [] if same else [f"{command}: {output} {here}"]
if told:
    raise RuntimeError(" ".join(told))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="plans are confined on hosts that root runs")
def test_a_confined_plan_sees_the_same(bench: Bench) -> None:
    (bench.target / "shut").mkdir(mode=0)
    for name in ("open", "closed", "shut/inner"):
        (bench.target / name).write_text("x\n")
        (bench.target / name).chmod(0o644 if name == "open" else 0)
    bench.deploy("compared", COMPARED)
    assert bench.plan()["compared"].error is None
