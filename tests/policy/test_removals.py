"""Policies over what has left Git: what they deny is not removed, and nobody is locked out by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.plan import HoldKind
from agent.domain.removal import Pruned
from agent.steps import deny
from agent.steps.deny import HostPolicies
from agent.system.folder import FolderTree
from tests.steps.build import deploy, state
from tests.steps.pruning import Host, Opening, host_below, opening


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = host_below(tmp_path)
    host.told = replace(host.told, state=state(deploy("files"), commit=host.commit))
    return host


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Opening:
    return opening(monkeypatch)


def policies(tmp_path: Path, rule: str) -> HostPolicies:
    folder = tmp_path / "config"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies/rule.rego").write_text(f"package main\n\n{rule}\n")
    there = state(deploy("files"))
    return HostPolicies(lambda: FolderTree(folder), there, inventory="prod", groups=())


def denying(what: str, condition: str) -> str:
    return f'deny contains {{"msg": "stays", {what}}} if {{ some r in input.plan.removals; {condition} }}'


RESOURCE = denying('"resource": r.resource', 'r.fate == "remove"; endswith(r.name, "/kept")')


def test_what_a_rule_denies_to_remove_stays_and_the_rest_goes(host: Host, tmp_path: Path) -> None:
    kept = host.gave("kept")
    host.gave("gone")
    pruned = host.prune(hold_denied=policies(tmp_path, RESOURCE).hold_denied)
    assert host.there == ["kept"]
    assert [(each.entry.key, each.hold) for each in pruned.leaving.removals if each.hold is not None] == [
        (kept, pruned.leaving.holds[0])
    ]
    assert [(hold.kind, hold.reason) for hold in pruned.leaving.holds] == [(HoldKind.POLICY, "stays")]
    assert (pruned.held, pruned.settled) == (True, False)


@pytest.mark.parametrize("what", ['"deploy": r.deploy', '"resource": "file:/etc/unknown"'], ids=["deploy", "nothing"])
def test_a_rule_about_the_deploy_that_left_or_about_nothing_there_keeps_all_of_it(
    host: Host, tmp_path: Path, what: str
) -> None:
    host.gave("one")
    host.gave("two")
    host.prune(hold_denied=policies(tmp_path, denying(what, "true")).hold_denied)
    assert host.there == ["one", "two"]


def test_a_rule_about_what_is_still_wanted_keeps_nothing_else(host: Host, tmp_path: Path) -> None:
    host.gave("gone")
    host.prune(hold_denied=policies(tmp_path, 'deny contains {"msg": "no", "resource": "file:/etc/motd"}').hold_denied)
    assert host.there == []


def test_an_on_remove_waits_while_anything_of_its_deploy_is_to_stay(host: Host, tmp_path: Path) -> None:
    host.left()
    host.gave("kept", deploy="app")
    host.gave("beside", deploy="app")
    pruned = host.prune(hold_denied=policies(tmp_path, RESOURCE).hold_denied)
    assert (host.engine.ran, host.there) == ([], ["beside", "kept"])
    assert [departure.hold for departure in pruned.leaving.departures] == list(pruned.leaving.holds)


def test_an_on_remove_can_be_denied_by_its_file(host: Host, tmp_path: Path) -> None:
    host.left()
    rule = 'deny contains {"msg": "no", "deploy": d.deploy} if { some d in input.plan.departures; d.on_remove != "" }'
    host.prune(hold_denied=policies(tmp_path, rule).hold_denied)
    assert host.engine.ran == []


def test_rules_that_cannot_be_asked_keep_everything(host: Host, tmp_path: Path) -> None:
    host.gave("one")
    broken = policies(tmp_path, "deny contains nope(1)")
    host.prune(hold_denied=broken.hold_denied)
    assert host.there == ["one"]
    assert broken.failure is not None
    assert "policies/rule.rego:3:" in broken.failure.message


def test_where_nothing_is_to_go_nobody_is_asked(host: Host, tmp_path: Path) -> None:
    broken = policies(tmp_path, "deny contains nope(1)")
    host.prune(hold_denied=broken.hold_denied)
    assert broken.failure is None


def test_what_is_gone_already_is_forgotten_whatever_is_denied(host: Host, tmp_path: Path) -> None:
    kept, gone = host.gave("kept"), host.gave("gone")
    (host.folder / "gone").unlink()
    pruned = host.prune(hold_denied=policies(tmp_path, denying('"deploy": r.deploy', "true")).hold_denied)
    assert {each.entry.key: each.hold is not None for each in pruned.leaving.removals} == {kept: True, gone: False}
    assert [entry.key for entry in host.ledger.entries()] == [kept]


def losing(host: Host, rules: HostPolicies) -> Pruned:
    return host.prune(hold_denied=rules.hold_denied, hold_named=rules.hold_named)


@pytest.mark.parametrize(
    "rule",
    [
        'deny contains "files are wrong" if { some d in input.deploys; d.name == "files" }',
        'deny contains {"msg": "a key of ann is weak", "deploy": "gone"} if { some d in input.deploys }',
        denying('"resource": r.resource', 'endswith(r.name, "/kept")'),
        "deny contains nope(1)",
    ],
    ids=["of_another", "of_its_deploy", "of_another_removal", "broken"],
)
def test_no_rule_about_anything_else_keeps_access(host: Host, tmp_path: Path, access: Opening, rule: str) -> None:
    kept, left = host.gave("kept"), host.gave("left")
    rules = policies(tmp_path, rule)
    pruned = losing(host, rules)
    assert left in pruned.revoked
    assert (kept in pruned.revoked) == ("/kept" not in rule)
    assert left in {each.entry.key for each in pruned.leaving.removals}, "it goes when the rules permit it"


def test_without_an_interpreter_access_goes_and_all_else_stays(
    host: Host, tmp_path: Path, access: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deny, "has_interpreter", lambda: False)
    key = host.gave("left")
    pruned = losing(host, policies(tmp_path, RESOURCE))
    assert (pruned.revoked, host.there, pruned.done) == ((key,), ["left"], ())


def test_a_denial_that_keeps_no_access_hides_no_hold_that_does(host: Host, tmp_path: Path, access: Opening) -> None:
    host.idle["late"] = "site.yaml:5 is for hosts: late"
    host.gave("ann", deploy="late")
    assert losing(host, policies(tmp_path, "deny contains nope(1)")).revoked == ()
    assert access.revoked == []
