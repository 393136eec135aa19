"""`hostwright check --github`, `--gitlab`, `--sarif`: the same complaints, as the services take them.

``sarif-2.1.0.json`` is the schema of the npm package @microsoft/jest-sarif 1.0.0-beta.0 (MIT), less its descriptions.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from agent.cli.annotations import FORMATS, Findings
from agent.cli.main import run
from agent.inventory.complaint import Complaint
from agent.system.document import Position

SITE = "inventories/demo/site.yaml"
ODD = "inventories/demo/100%: a, b.yaml"
WRONG = '- hosts: wbe\n  deploys: [motd: "100%, a: b"]\n- hosts: all\n  deploys: [motd: x, motd: "{{ nope }}"]\n'


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mistake in a line of site.yaml and one of two hosts, one in a file with an odd name as a whole, and a hint."""
    folder = tmp_path / "inventories/demo"
    folder.mkdir(parents=True)
    (folder / "hosts.yaml").write_text("all: {hosts: {web1: , web2: }}\n")
    (tmp_path / SITE).write_text(WRONG)
    (tmp_path / ODD).touch()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/a.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mend(repo: Path) -> None:
    (repo / SITE).write_text("[]\n")
    (repo / ODD).unlink()


def told(capsys: pytest.CaptureFixture[str], form: str) -> tuple[int, str]:
    """The exit code, and stdout."""
    code = run(["check", form])
    return code, capsys.readouterr().out


def complaints(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, int]]:
    """What ``--json`` tells: weight, file and line, sorted."""
    document = json.loads(told(capsys, "--json")[1])
    mistakes = [("error", one["file"], one["line"]) for one in document["error"]["complaints"]]
    return sorted([*mistakes, *(("warning", one["file"], one["line"]) for one in document["hints"])])


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Workflow commands as GitHub's runner reads them (actions/runner, ActionCommand.cs)."""
    found = [re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line) for line in text.splitlines()]
    assert None not in found
    return [
        (one[1], {key: unquote(value) for key, value in (pair.split("=", 1) for pair in one[2].split(","))}, one[3])
        for one in found
        if one is not None
    ]


def test_github_is_told_each_complaint_at_its_line(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys, "--github")
    found = commands(text)
    assert code == 6
    assert sorted((kind, at["file"], int(at.get("line", 0))) for kind, at, _ in found) == complaints(capsys)


def test_what_github_would_take_for_its_own_signs_is_escaped(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [line for line in told(capsys, "--github")[1].splitlines() if "100%25" in line]
    assert line.startswith("::error file=inventories/demo/100%25%3A a%2C b.yaml,title=hostwright check::nobody reads")


def test_a_line_end_in_a_name_begins_no_other_command(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "inventories/demo/a\n::error::x.yaml").touch()
    text = told(capsys, "--github")[1]
    assert [kind for kind, _, _ in commands(text)].count("error") == len(text.splitlines()) - 1


@pytest.mark.parametrize("form", [None, "--github"])
def test_a_line_end_in_what_is_quoted_begins_no_line_on_stderr(
    repo: Path, capsys: pytest.CaptureFixture[str], form: str | None
) -> None:
    """GitHub's runner reads stderr for commands as it reads stdout, and trims what is before them."""
    (repo / "inventories/demo/group_vars").mkdir()
    (repo / "inventories/demo/group_vars/a\n::error::x.yaml").write_text("{")
    keys = r'{"k\n::add-mask::e\n": 1}, {"files": {"/a": {"mo\n ::stop-commands::x\nde": 1}}}'
    (repo / SITE).write_text(f'[{{"hosts": "all", "deploys": [{keys}]}}]')
    assert run(["check", *([form] if form else [])]) == 6
    err = capsys.readouterr().err
    assert "add-mask" in err
    assert "stop-commands" in err
    assert not [line for line in err.splitlines() if line.lstrip().startswith("::")]


def test_the_name_of_an_inventory_begins_no_line(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mend(repo)
    (repo / "inventories/demo").rename(repo / "inventories/a\n::error::x")
    assert run(["check"]) == 0
    assert capsys.readouterr().out == "a\\n::error::x: 2 hosts, fine\n"
    assert run(["lock"]) == 0
    assert capsys.readouterr().out == "a\\n::error::x: nothing has changed\n"


def test_a_file_name_that_is_not_utf8_is_told_in_every_form() -> None:
    place = Position("group_vars/\udcff\udcfe.yaml", 1, 1)
    findings = Findings((Complaint(place, "\udcff", "nobody reads this", "rename it"),), ())
    (found,) = json.loads(FORMATS["gitlab"](findings))
    assert found["location"]["path"] == r"group_vars/\udcff\udcfe.yaml"
    (result,) = json.loads(FORMATS["sarif"](findings))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "group_vars/%FF%FE.yaml"
    assert FORMATS["github"](findings).isascii()


def test_gitlab_gets_what_its_report_has_to_have(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields of docs.gitlab.com, "Code Quality report format"."""
    code, text = told(capsys, "--gitlab")
    report: list[dict[str, Any]] = json.loads(text)
    assert code == 6
    assert {one["severity"] for one in report} <= {"info", "minor", "major", "critical", "blocker"}
    places = [(one["location"]["path"], one["location"]["lines"]["begin"]) for one in report]
    assert sorted(places) == sorted((file, line or 1) for _, file, line in complaints(capsys))
    assert len({one["fingerprint"] for one in report}) == len(report)
    assert all(one["description"] and one["check_name"] for one in report)


def test_a_complaint_that_moves_to_another_line_stays_the_same_one(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [one["fingerprint"] for one in json.loads(told(capsys, "--gitlab")[1])]
    (repo / SITE).write_text(f"# Who gets what\n\n{WRONG}")
    assert [one["fingerprint"] for one in json.loads(told(capsys, "--gitlab")[1])] == before


@pytest.mark.parametrize("state", ["wrong", "fine"])
def test_sarif_is_what_its_schema_takes(repo: Path, capsys: pytest.CaptureFixture[str], state: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the validator: tests/requirements.txt")
    if state == "fine":
        mend(repo)
    log = json.loads(told(capsys, "--sarif")[1])
    schema = json.loads(Path(__file__).with_name("sarif-2.1.0.json").read_text())
    jsonschema.validate(log, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(log).replace('"error"', '"mistake"')) | {"runs": [{}]}, schema)


def test_sarif_has_each_complaint_at_its_line(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys, "--sarif")
    places = [
        (one["level"], unquote(place["artifactLocation"]["uri"]), place["region"]["startLine"])
        for one in json.loads(text)["runs"][0]["results"]
        for place in [one["locations"][0]["physicalLocation"]]
    ]
    assert code == 6
    assert sorted(places) == sorted((level, file, line or 1) for level, file, line in complaints(capsys))


@pytest.mark.parametrize(("form", "out"), [("--github", "::warning file=deploy/"), ("--gitlab", "["), ("--sarif", "{")])
def test_hints_alone_are_told_and_change_no_exit_code(
    repo: Path, capsys: pytest.CaptureFixture[str], form: str, out: str
) -> None:
    mend(repo)
    code, text = told(capsys, form)
    assert (code, text.startswith(out), "deploy/" in text, "fine" in text) == (0, True, True, False)


@pytest.mark.parametrize("forms", [("--github", "--gitlab"), ("--sarif", "--json")])
def test_two_forms_at_once_are_refused(repo: Path, capsys: pytest.CaptureFixture[str], forms: tuple[str, ...]) -> None:
    assert run(["check", *forms]) == 2
    said = capsys.readouterr()
    assert all(form in said.err for form in forms)
    assert not said.out or "--json" in forms


def test_a_version_of_the_agent_without_a_pin_is_a_mistake(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mend(repo)
    (repo / "inventories/demo/fleet.yaml").write_text('agent: {version: "1.2.3"}\n')
    assert run(["check"]) == 6
    told = capsys.readouterr().err
    assert "inventories/demo/fleet.yaml:1:9: agent.version: lock.yaml has no pin for the agent" in told
