"""`hostwright check` with policies: of the rules themselves, and of what they say of every host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent import policies
from agent.cli.main import run
from agent.inventory.schema import schema
from tests.gitserver import ConfigRepo

PROD = "inventories/prod"
SITE = """\
- hosts: all
  deploys:
    - files:
        /etc/app.conf: {content: "a", mode: "0666"}
"""
SECRET = """\
        /etc/key: {content: "{{ secret('all/key') }}", mode: "0640"}
"""
WRITABLE = """\
package main

deny contains {"msg": msg, "resource": resource.key} if {
	some resource in input.deploys[_].resources
	endswith(resource.wanted.mode, "6")
	msg := sprintf("%s is for everybody", [resource.name])
}
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "work")
    hosts = "all: {hosts: {web1: {}}, children: {db: {hosts: {db1: {}}}}}\n"
    inventory = {f"{PROD}/hosts.yaml": hosts, f"{PROD}/site.yaml": SITE}
    repo.commit("First", inventory)
    monkeypatch.chdir(repo.path)
    return repo


def check(repo: ConfigRepo, capsys: pytest.CaptureFixture[str], **rules: str) -> tuple[int, str]:
    """The exit code of `check` with these policies, and all that it says."""
    repo.commit("Rules", {f"policies/{name}.rego": text for name, text in rules.items()})
    capsys.readouterr()
    code = run(["check"])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_what_a_rule_denies_is_told_at_its_place_in_site_yaml(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(repo, capsys, writable=WRITABLE)
    assert code == 6
    assert "site.yaml:4:9: [0].deploys[0].files./etc/app.conf: denied: /etc/app.conf is for everybody" in said
    assert "(hosts web1 and db1)" in said


def test_what_a_rule_warns_of_is_told_and_is_no_mistake(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(repo, capsys, groups='package main\nwarn contains "look" if "db" in input.groups')
    assert code == 0
    assert f"{PROD}/site.yaml: warning: look (host db1)" in said


def test_a_rule_sees_a_secret_as_its_template_asks_for_it(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(
        "Secret", {f"{PROD}/site.yaml": SITE + SECRET, f"{PROD}/secrets/all/key.age": "age-encryption.org/v1\n"}
    )
    rule = 'package main\nwarn contains r.wanted.text if { some r in input.deploys[_].resources; r.name == "/etc/key" }'
    assert "warning: {{ secret('all/key') }}" in check(repo, capsys, secrets=rule)[1]


def test_a_mistake_in_a_rule_is_a_complaint_with_its_place(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(repo, capsys, bad="package main\n\ndeny contains msg if {\n\tmsg := nope(1)\n}")
    assert code == 6
    found = re.search(r"policies/bad\.rego:4:\d+: could not find function nope; (.*)", said)
    assert found is not None
    assert found[1] == "correct the rule, which is read as OPA 1 reads Rego"


def test_a_policy_that_is_not_utf_8_is_a_complaint_with_its_place(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo.path / "policies").mkdir()
    (repo.path / "policies/latin.rego").write_bytes(b"package main\n# caf\xe9\n")
    repo.git("add", "policies")
    code, said = check(repo, capsys, writable=WRITABLE)
    assert code == 6
    assert "policies/latin.rego:2:6: not UTF-8 text; save it as UTF-8\n" in said


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ('deny := "x"', "policies/rule.rego:2:1: deny is no set of messages"),
        ("deny contains 3", "policies/rule.rego:2:1: a message of deny is neither text nor an object"),
        ("denied contains 3", "no rule deny, violation or warn is in the package main"),
        ('deny contains x if x := http.send({"url": "http://h"})', "policies/rule.rego:2:25: there is no http.send"),
        ('deny contains x if { input.plan; x := http["send"]({}) }', "policies/rule.rego:2:39: there is no http.send"),
    ],
)
def test_a_rule_that_could_not_deny_anything_is_a_complaint(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], rule: str, complaint: str
) -> None:
    code, said = check(repo, capsys, rule=f"package main\n{rule}")
    assert code == 6
    assert re.search(f"{re.escape(complaint)}[^;]*; [^(]", said), "it has a remedy"


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("other.rego", "package mian\ndeny contains 1 if true", "other.rego:1:1: nobody asks the package mian"),
        ("sub.rego", "package main.sub\ndeny contains 1 if true", "sub.rego:1:1: nobody asks the package main.sub"),
        ("web_test.rego", "package main\n\ndeny contains 1 if true", "web_test.rego:3:1: deny judges nobody here"),
        ("web.REGO", "package main\ndeny contains 1 if true", "web.REGO: nobody reads this; call it policies/web.rego"),
    ],
)
@pytest.mark.parametrize(
    "rules", [{}, {"rule": "package main\ndeny contains 1 if false"}], ids=["alone", "beside a rule"]
)
def test_rules_that_judge_nobody_are_a_complaint(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], rules: dict[str, str], path: str, text: str, complaint: str
) -> None:
    repo.commit("Nobody", {f"policies/{path}": text})
    code, said = check(repo, capsys, **rules)
    assert code == 6
    assert f"policies/{complaint}" in said


def test_packages_that_rules_of_main_use_are_no_mistake(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(
        repo,
        capsys,
        rule="package main\nimport data.lib.modes as m\ndeny contains 1 if { m.never; data.sites[input.host] }",
        modes='package lib.modes\nnever if data["deeper"].never',
        deeper="package deeper\nnever if false",
        sites="package sites.web1\nopen := false",
        rule_test="package main\ntest_never if { count(deny) == 0 }",
    )
    assert (code, "policies" in said) == (0, False), said


def test_a_test_of_a_rule_that_does_not_hold_is_a_complaint(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = 'package main\ndeny contains "x" if input.host == "nobody"'
    tests = 'package main\ntest_fine if count(deny) == 1 with input as {"host": "nobody"}\ntest_bad if count(deny) == 9'
    code, said = check(repo, capsys, rule=rule, rule_test=tests)
    assert code == 6
    assert "policies/rule_test.rego:3:1: the test test_bad does not hold" in said
    assert "test_fine" not in said


def test_data_that_no_rule_gets_is_a_complaint(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit("Data", {"policies/ports.yaml": "ports: [22]\n"})
    code, said = check(repo, capsys, rule="package main\ndeny contains 1 if false")
    assert code == 6
    assert "policies/ports.yaml: nobody reads this" in said


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("policies", "policies: a folder is expected here; write policies/<name>.rego"),
        ("policies/a.rego.bak", "policies/a.rego.bak: nobody reads this; call it policies/a.rego"),
        ("policies/a.rego/b", "policies/a.rego/b: nobody reads this; call it policies/a.rego"),
        ("policies/a.rego.txt", "policies/a.rego.txt: nobody reads this; call it policies/a.rego"),
    ],
)
def test_a_rule_that_nobody_reads_is_a_complaint(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], path: str, complaint: str
) -> None:
    repo.commit("A rule", {path: "package main\n"})
    code, said = check(repo, capsys)
    assert code == 6
    assert complaint in said


@pytest.mark.parametrize("name", [".a.rego.swp", ".regal.yaml", ".regolint", "README.rego.md"])
def test_files_for_people_and_editors_may_lie_beside_rules(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    repo.commit("A file", {f"policies/{name}": "x"})
    code, said = check(repo, capsys, a='package main\ndeny contains "x" if false')
    assert (code, "nobody reads" in said) == (0, False), said


def test_a_copy_beside_its_rule_is_to_be_removed(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit("A copy", {"policies/a.rego.bak": "x"})
    code, said = check(repo, capsys, a='package main\ndeny contains "x" if false')
    assert code == 6
    assert "policies/a.rego.bak: nobody reads this copy; remove it" in said


def test_a_rule_that_is_a_link_is_named_as_that(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit("A rule", {"rules/a.rego": "package main\ndeny contains 1 if false"})
    (repo.path / "policies").mkdir()
    (repo.path / "policies/a.rego").symlink_to("../rules/a.rego")
    repo.git("add", "policies")
    code, said = check(repo, capsys)
    assert code == 6
    assert "policies/a.rego: a symbolic link, which is not followed; put the file there" in said


def test_policies_without_the_engine_are_refused(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cli.commands.check.has_interpreter", lambda: False)
    code, said = check(repo, capsys, writable=WRITABLE)
    assert code == 6
    assert f"policies/writable.rego: {policies.NO_INTERPRETER[0]}; {policies.NO_INTERPRETER[1]}" in said


def test_what_rules_are_told_is_as_the_schema_says(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jsonschema import Draft202012Validator

    told: list[object] = []
    ask = policies.evaluate

    def recorded(modules, package, rules, inputs):  # type: ignore[no-untyped-def]
        given = list(inputs)
        told.extend(given)
        return ask(modules, package, rules, given)

    monkeypatch.setattr(policies, "evaluate", recorded)
    check(repo, capsys, writable=WRITABLE)
    validator = Draft202012Validator(schema("policy"))
    for document in told[1:]:
        validator.validate(json.loads(json.dumps(document)))
    assert len(told) == 3  # the tests of the rules, and two hosts


def test_what_is_denied_of_a_host_as_a_whole_is_at_a_file_for_code_scanning(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit("Rule", {"policies/hosts.rego": 'package main\ndeny contains "not this host" if input.host == "db1"\n'})
    capsys.readouterr()
    assert run(["check", "--sarif"]) == 6
    [result] = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    found = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (found, (repo.path / found).is_file()) == (f"{PROD}/site.yaml", True)


def test_rules_in_a_folder_below_are_rules(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(repo, capsys, **{"team/writable": WRITABLE})
    assert (code, "/etc/app.conf is for everybody" in said) == (6, True)


def test_each_rule_that_asks_for_a_variable_that_nothing_sets_is_told_with_its_file(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = {
        "sound": "package main\ndeny contains x if { input.plan; x := limit }",
        "limits": 'package main\nlimit := "3"',
        "one": (
            "package main\nimport data.two\ndeny contains x if { some x in two.named }\n"
            "deny contains x if { input.none; x := nobody }"
        ),
        "two": "package two\nnamed contains x if { input.none; x := nobody }",
    }
    code, said = check(repo, capsys, **rules)
    assert code == 6
    told = [line for line in said.splitlines() if "a rule asks for a variable that nothing sets" in line]
    assert [re.search(r"policies/(\w+)\.rego: ", line)[1] for line in told] == ["one", "two"]  # type: ignore[index]


def test_no_inventory_is_called_fine_beside_a_mistake_in_a_rule(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "prod: 2 hosts\n" in check(repo, capsys, bad="package main\ndeny contains x if {")[1]
    assert "prod: 2 hosts, fine\n" in check(repo, capsys, bad="package main\ndeny contains 1 if false")[1]
