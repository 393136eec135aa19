"""Policies over what has left Git: what they deny is not removed, and nobody is locked out by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.plan import HoldKind
from agent.steps.deny import HostPolicies
from agent.system.folder import FolderTree
from tests.steps.build import deploy, state
from tests.steps.pruning import Host, host_below


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = host_below(tmp_path)
    host.told = replace(host.told, state=state(deploy("files")))
    return host


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
