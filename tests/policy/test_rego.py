"""The Rego interpreter, in its process: what it tells of mistakes, and what a rule can reach."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from agent.system import rego
from agent.system.process import run
from agent.system.rego import RegoError, evaluate

PATH = "policies/a.rego"


def value(body: str, **given: object) -> object:
    """What ``deny`` of a module is."""
    [rules] = evaluate({PATH: f"package main\n{body}\n"}, "main", "deny", [given])
    return rules.get("deny")


def error(body: str) -> RegoError:
    with pytest.raises(RegoError) as raised:
        value(body)
    return raised.value


def test_messages_are_texts_and_objects() -> None:
    assert value('deny contains "a" if input.n > 1\ndeny contains {"msg": "b"} if true', n=2) == ["a", {"msg": "b"}]


def test_the_rules_are_asked_about_each_input_in_order() -> None:
    modules = {PATH: "package main\ndeny contains input.host"}
    found = evaluate(modules, "main", "deny", ({"host": f"h{number}"} for number in range(50)))
    assert [rules["deny"] for rules in found] == [[f"h{number}"] for number in range(50)]


def test_an_engine_that_does_not_load_says_where_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, runpy; sys.modules['regorus'] = None; runpy.run_module(sys.argv[-1], run_name='__main__')"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -c "{code}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", f"{python}")
    found = error('deny contains "x"')
    assert found.message.startswith("the Rego interpreter does not load here: ")
    assert "glibc 2.34" in found.remedy


def test_only_the_rules_that_are_asked_for_are_told() -> None:
    modules = {PATH: 'package main\nwarn contains "w"\nhelper := {"much"}'}
    assert list(evaluate(modules, "main", "warn", [{}])) == [{"warn": ["w"]}]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("\ndeny contains x if {\n\tx := \n}", 4),
        ("deny contains x if { y > 3; x := 1 }", 2),
        ("deny contains x if { x := unknown(1) }", 2),
        ("deny contains 1/0", 2),
        ('deny contains x if { x := net.lookup_ip_addr("localhost") }', 2),
        ("deny[x] { x := 1 }", 2),
        ('deny contains "x" if a\na if b\nb if a', 3),
    ],
)
def test_a_mistake_is_told_with_file_line_and_column(body: str, line: int) -> None:
    found = error(body)
    assert (found.file, found.line) == (PATH, line)
    assert found.column > 0
    assert found.message
    assert "\n" not in found.message


def test_a_variable_that_nothing_sets_is_an_error_and_no_rule_that_never_holds() -> None:
    found = error("deny contains msg if { msg := nobody_sets_this }")
    assert (found.message, found.file, found.line) == (rego.UNSET, PATH, 2)
    assert error("deny contains msg if { input.none; msg := nobody_sets_this }").message == rego.UNSET


@pytest.mark.parametrize(
    "body",
    [
        'deny contains msg if { msg := "a#b"; r := http.send({"url": "http://h"}); r.status_code == 200 }',
        'deny contains `a"#b` if http.send({"url": "http://h"}).ok',
        'deny contains "x" if http["send"]({"url": "http://h"}).ok',
        'f(x) := x\ndeny contains "x" if { f(1) == 1 with f as http.send }',
        'deny contains "x" if not opa.runtime().env.HOME',
        'deny contains "x" if { input.plan; opa.runtime().env }',
    ],
)
def test_a_function_that_finds_nothing_here_is_an_error(body: str) -> None:
    assert re.match(r"there is no (http\.send: policies have no network|opa\.runtime)", error(body).message)


@pytest.mark.parametrize(
    "body", ['deny contains "http.send(x)" if true', 'deny contains "x" # http.send(opa.runtime())']
)
def test_the_name_of_such_a_function_in_a_text_or_a_comment_is_no_error(body: str) -> None:
    assert value(body)


def test_a_long_sum_in_a_module_whose_syntax_tree_is_read_is_judged() -> None:
    assert value("opa := 1\ndeny contains 1" + " +\n1" * 999) == [1000]


def test_rules_print_for_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    assert value('deny contains "x" if { print("hello") }') == ["x"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("opening", ["os.open('/dev/null', os.O_RDONLY)", "socket.socket()", "os.pipe()"])
def test_the_process_of_the_engine_can_open_nothing(opening: str) -> None:
    closed = "rego_child._close_all_ways(2**30)"
    program = f"import os, socket; from agent.system import rego_child; {closed}; {opening}"
    done = run((sys.executable, "-c", program), timeout_s=60)
    assert done.complaint == "OSError: [Errno 24] Too many open files" + (": '/dev/null'" if "null" in opening else "")
    assert run((sys.executable, "-c", program.replace(closed, "0")), timeout_s=60).ok


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up what only root has")
@pytest.mark.parametrize("attempt", ["os.kill(os.getppid(), 0)", "open(PATH, 'w')", "socket.socket()", "os.setuid(0)"])
def test_the_engine_is_loaded_without_the_rights_of_root(tmp_path: Path, attempt: str) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "regorus.py").write_text(f"import os, socket\nPATH = {f'{tmp_path}/file'!r}\n{attempt}\n")
    program = (
        f"import sys; sys.path.insert(0, {f'{tmp_path}'!r}); from agent.system import rego_child; rego_child.main()"
    )
    done = run((sys.executable, "-c", program), timeout_s=60, input=b"{}\n")
    assert done.complaint.startswith("PermissionError"), done.complaint


def test_a_rule_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rego, "CPU_S", 1)
    body = "r := numbers.range(1, 20000)\ndeny contains 1 if { some i in r; some j in r; i + j < 0 }"
    assert error(body).message == "an evaluation took more than 1 s"


def test_a_rule_that_eats_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    eater = "deny contains count(numbers.range(1, 4000000))"  # about 100 MiB
    assert value(eater) == [4000000]
    monkeypatch.setattr(rego, "MEMORY_BYTES", 48 * 1024 * 1024)
    assert "48 MiB of memory" in error(eater).message


@pytest.mark.parametrize("resources", [1207, 12000])
def test_a_host_with_many_resources_is_judged(resources: int) -> None:
    found = value(
        'deny contains r.name if { some r in input.resources; r.mode == "0666" }',
        resources=[{"name": f"/srv/{number}", "mode": "0644", "text": "x" * 200} for number in range(resources)]
        + [{"name": "/srv/open", "mode": "0666"}],
    )
    assert found == ["/srv/open"]


def test_a_rule_that_calls_itself_for_ever_is_ended() -> None:
    assert "crashed" in error("f(x) := f(x + 1)\ndeny contains f(1)").message


def test_an_expression_that_takes_other_engines_for_ever_is_answered() -> None:
    assert value(f'deny contains 1 if regex.match("(a+)+$", "{"a" * 40}b")') == []


def test_text_of_any_kind_comes_through() -> None:
    text = 'a\x00\t\n"\\ \u2028 😀 é'
    assert value("deny contains input.text", text=text) == [text]
