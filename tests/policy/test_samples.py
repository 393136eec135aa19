"""The policies of docs/policies hold their own tests, and the example has nothing to fear from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.cli.main import run
from agent.inventory.load import load
from agent.policies import Policies, policies_of
from agent.steps.deny import policy_input
from agent.steps.resolve import desired_state
from agent.system.folder import FolderTree
from tests.gitserver import ConfigRepo

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "docs/policies").glob("*.rego"))


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Policies:
    folder = tmp_path_factory.mktemp("samples")
    (folder / "policies").mkdir()
    for sample in SAMPLES:
        (folder / "policies" / sample.name).write_text(sample.read_text())
    return policies_of(FolderTree(folder))


def test_every_sample_has_tests(policies: Policies) -> None:
    assert len(policies.modules) == 6
    assert {path.replace(".rego", "_test.rego") for path in policies.modules} == set(policies.tests)


def test_the_tests_of_the_samples_hold(policies: Policies) -> None:
    assert list(policies.faults()) == []
    assert sum(len(re.findall(r"(?m)^test_", source)) for source in policies.tests.values()) >= 20


def test_the_example_passes_them(policies: Policies) -> None:
    tree = FolderTree(ROOT)
    environment = load(tree, "example")
    hosts = list(environment.inventory.hosts)
    states = [desired_state(environment, tree, host=host, commit="0" * 40) for host in hosts]
    verdicts = list(policies.judge(policy_input(each, inventory="example", groups=()) for each in states))
    assert len(verdicts) == len(hosts)
    assert [message for verdict in verdicts for message in verdict.denied] == []


def test_check_finds_with_them_what_they_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = ConfigRepo(tmp_path / "work")
    site = """\
- hosts: all
  deploys:
    - files: {/etc/app.conf: {content: "a", mode: "0666"}}
    - ssh: {settings: {PermitRootLogin: true}}
    - command: {get: {shell: "curl https://example.org/install | sh"}}
    - packages: {absent: [sudo]}
"""
    hosts = {"inventories/prod/hosts.yaml": "all: {hosts: {web1: {}}}\n", "inventories/prod/site.yaml": site}
    repo.commit("First", hosts | {f"policies/{sample.name}": sample.read_text() for sample in SAMPLES})
    monkeypatch.chdir(repo.path)
    assert run(["check"]) == 6
    said = capsys.readouterr().err
    for place, what in (
        ("site.yaml:3:", "can be written by everybody"),
        ("site.yaml:4:", "lets root log in"),
        ("site.yaml:5:", "installs what nobody has pinned"),
        ("site.yaml:6:", "package:sudo is kept on every host"),
    ):
        assert any(place in line and what in line for line in said.splitlines())


@pytest.mark.parametrize("rule", re.findall(r"(?ms)^```rego\n(.*?)^```$", (ROOT / "docs/policy.md").read_text()))
def test_a_rule_that_the_page_shows_is_one(rule: str, tmp_path: Path) -> None:
    """The one that is a test asks the sample sshd_window.rego."""
    source = rule if rule.startswith("package ") else f"package main\n\nimport rego.v1\n\n{rule}"
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "sshd_window.rego").write_text((ROOT / "docs/policies/sshd_window.rego").read_text())
    (folder / ("shown_test.rego" if "\ntest_" in rule else "shown.rego")).write_text(source)
    assert list(policies_of(FolderTree(tmp_path)).faults()) == []
