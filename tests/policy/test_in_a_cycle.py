"""Policies in a cycle: what they deny is held and reported, and a host without news asks nobody."""

from __future__ import annotations

import pytest

from agent import policies
from agent.converge import plan_changes
from agent.domain.account import Account
from agent.domain.plan import WantedChange
from agent.engine.client import FoundDeploy
from agent.problems import ProblemKind
from agent.select_target import resolved
from agent.steps import deny
from agent.steps.choose import Target
from agent.steps.derive_events import derive_events
from agent.steps.permit import PermitRules
from agent.steps.verify import recall
from tests.steps.test_cycle import HOSTS, INVENTORY, Host, host, site

__all__ = ["host"]


def denying(rule: str) -> dict[str, str]:
    return {"policies/rule.rego": f"package main\n\n{rule}\n"}


def held(account: Account) -> list[tuple[str, str]]:
    assert account.permitted is not None
    return [(each.hold.kind, each.hold.reason) for each in account.permitted.held]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the rules were asked about."""
    told: list[object] = []
    ask = policies.evaluate

    def recorded(modules, package, rules, inputs):  # type: ignore[no-untyped-def]
        given = list(inputs)
        told.extend(given)
        return ask(modules, package, rules, given)

    monkeypatch.setattr(policies, "evaluate", recorded)
    return told


def test_a_denied_change_is_held_with_the_words_of_the_rule(host: Host) -> None:
    rule = 'deny contains "not on a Monday" if { some c in input.plan.changes; c.resource == "file:/srv/motd" }'
    host.repo.commit("First", HOSTS | site("a") | denying(rule))
    account = host.cycle(wanted=True)
    assert host.engine.applied == []
    assert held(account) == [("policy", "not on a Monday")]
    assert not account.failures


def test_a_rule_holds_the_deploy_that_it_names_and_those_that_need_it(host: Host) -> None:
    plays = """\
- hosts: all
  deploys:
    - files: {/srv/motd: {content: a}}
    - {name: other, deploy: files, with: {/srv/other: {content: a}}}
    - {name: late, deploy: files, with: {/srv/late: {content: a}}, needs: [files]}
"""
    rule = 'deny contains {"msg": "no", "resource": "file:/srv/motd"} if input.plan'
    host.repo.commit("First", HOSTS | {f"{INVENTORY}/site.yaml": plays} | denying(rule))
    account = host.cycle(wanted=True)
    assert account.permitted is not None
    holds = {name: hold.reason for name, hold in account.permitted.deploy_holds.items()}
    assert holds == {"files": "no", "late": "waits for files, which a policy denies"}
    assert set(account.permitted.allowed) == {"other"}


def test_what_a_rule_warns_of_is_told_with_the_change(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("a") | denying('warn contains "careful" if input.inventory == "prod"'))
    account = host.cycle(wanted=True)
    assert host.engine.applied
    assert account.warned == ("careful",)
    events, _ = derive_events(account, host.parts.memory.applied(), (), 0)
    assert [event.message for event in events if event.kind == "warned"] == ["careful"]


def test_a_host_that_is_as_wanted_asks_nobody(host: Host, asked: list[object]) -> None:
    host.repo.commit("First", HOSTS | site("a") | denying('deny contains "never" if input.host == "nobody"'))
    host.cycle(wanted=True)
    assert len(asked) == 1
    host.cycle()
    assert len(asked) == 1


def test_without_policies_nothing_is_evaluated(host: Host, asked: list[object]) -> None:
    host.repo.commit("First", HOSTS | site("a"))
    host.cycle(wanted=True)
    assert host.engine.applied
    assert asked == []


def test_rules_that_cannot_be_asked_hold_everything_and_are_a_problem(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("a") | denying("deny contains nope(1)"))
    account = host.cycle(wanted=True)
    assert host.engine.applied == []
    assert [failure.kind for failure in account.failures] == [ProblemKind.POLICY]
    assert "policies/rule.rego:3:" in account.failures[0].message
    assert int(account.exit) == 6


def test_rules_that_are_not_utf_8_hold_everything(host: Host) -> None:
    host.repo.commit("First", HOSTS | site("a"))
    (host.repo.path / "policies").mkdir()
    (host.repo.path / "policies/rule.rego").write_bytes(b"package main\n# \xff\n")
    host.repo.git("add", "policies")
    host.repo.git("commit", "--quiet", "-m", "Latin")
    account = host.cycle(wanted=True)
    assert host.engine.applied == []
    assert account.failures[0].message == "the policies cannot be asked: policies/rule.rego:2:3: not UTF-8 text"
    assert account.failures[0].hint.startswith("save it as UTF-8; until then nothing is changed on this host")


def test_a_host_without_the_engine_changes_nothing_and_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deny, "has_interpreter", lambda: False)
    host.repo.commit("First", HOSTS | site("a") | denying("deny contains 1 if false"))
    account = host.cycle(wanted=True)
    assert host.engine.applied == []
    assert [failure.kind for failure in account.failures] == [ProblemKind.LIBRARY_MISSING]
    assert held(account) == [("policy", policies.NO_INTERPRETER[0])]


LATE = WantedChange("file:/srv/late", "write")
LARGER = WantedChange("file:/srv/motd", "write", diff="-line\n" * 900)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ('c.resource == "file:/srv/late"', (WantedChange("file:/srv/motd", "write"), LATE)),
        ('c.operation == "restart"', (WantedChange("file:/srv/motd", "restart"),)),
        ("c.lines_removed > 100", (LARGER,)),
    ],
    ids=["another resource", "another operation", "more lines"],
)
def test_what_a_deploy_wants_only_when_its_turn_has_come_is_judged_too(
    host: Host, monkeypatch: pytest.MonkeyPatch, asked: list[object], rule: str, wanted: tuple[WantedChange, ...]
) -> None:
    rule = f'deny contains "not this" if {{ some c in input.plan.changes; {rule} }}'
    host.repo.commit("First", HOSTS | site("a") | denying(rule))
    found = host.engine._found
    turns: list[str] = []

    def later(deploy: str) -> FoundDeploy:
        turns.append(deploy)
        return found(deploy) if len(turns) == 1 else FoundDeploy(deploy, wanted)

    monkeypatch.setattr(host.engine, "_found", later)
    host.cycle(wanted=True)
    assert len(asked) == 2
    assert not host.parts.memory.applied().deploys


def test_going_back_to_the_last_good_state_is_not_judged(host: Host, asked: list[object]) -> None:
    host.repo.commit("First", HOSTS | site("a") | denying('deny contains "nothing at all" if input.plan'))
    host.cycle(wanted=True)
    last = host.parts.memory.trust().last
    assert last is not None
    target = Target(resolved(host.parts, recall(last, mirror=host.parts.mirror, last=last)))
    assert host.engine.wanted
    before = len(asked)
    assert set(plan_changes(host.parts, target, PermitRules(), {}, going_back=True).permitted.allowed) == {"files"}
    assert len(asked) == before
    assert not plan_changes(host.parts, target, PermitRules(), {}).permitted.allowed
