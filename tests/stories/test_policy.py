"""Policies on a host: what they deny is held, reported and told, by the engine that the host's environment has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import MOTD, World, apply, kinds

RULE = """\
package main

deny contains {"msg": "no motd on a Monday", "resource": "file:/etc/motd"} if {
	some change in input.plan.changes
	change.cause == "intended"
}

warn contains "somebody was here" if input.plan.changes[_].cause == "drift"
"""


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    return begun.world.copy(tmp_path_factory.mktemp("world") / "world")


@pytest.fixture(scope="module")
def host(lab: Lab, begun: Followed, world: World) -> Iterator[Host]:
    with http_server(world.served) as server, at_rest(lab, begun, server) as host:
        yield host


def test_a_denied_change_is_held_and_told_until_the_rule_lets_it_pass(world: World, host: Host) -> None:
    world.site(MOTD.replace("from", "anew from"), **{"policies/motd.rego": RULE})
    done = apply(host)
    assert done.code == 0
    assert "held: no motd on a Monday" in done.error
    assert host.read("/etc/motd") == "hello from web1\n"
    assert [(hold["kind"], hold["reason"]) for hold in world.report("web1")["holds"]] == [
        ("policy", "files: no motd on a Monday")
    ]
    assert "held-intended" in kinds(host)
    planned = host.run(["hostwright", "plan"], check=False)
    assert planned.code == 10
    assert "held: no motd on a Monday" in planned.output

    world.commit("Allow it", {"policies/motd.rego": RULE.replace('"intended"', '"interrupted"')})
    assert apply(host).code == 0
    assert host.read("/etc/motd") == "hello anew from web1\n"


def test_what_a_rule_warns_of_is_told_and_done(world: World, host: Host) -> None:
    world.commit("Warn", {"policies/motd.rego": RULE})
    host.write("/etc/motd", "by hand\n")
    done = apply(host)
    assert done.code == 0
    assert "warning: somebody was here" in done.error
    assert host.read("/etc/motd") == "hello anew from web1\n"
    assert "warned" in kinds(host)


KEPT = """\
package main

deny contains {"msg": "kept for the auditors", "resource": removal.resource} if {
	some removal in input.plan.removals
	removal.name == "/etc/kept"
}
"""


def test_what_left_git_stays_while_a_rule_denies_its_removal(world: World, host: Host) -> None:
    more = MOTD + '        /etc/kept: {content: "a\\n"}\n        /etc/gone: {content: "a\\n"}\n'
    world.site(more, **{"policies/motd.rego": KEPT})
    assert apply(host).code == 0
    world.site(MOTD)
    done = apply(host)
    assert "not removed: kept for the auditors" in done.error
    assert [(hold["kind"], hold["reason"]) for hold in world.report("web1")["holds"]] == [
        ("policy", "kept for the auditors")
    ]
    assert host.run(["sh", "-c", "ls /etc/kept /etc/gone 2>/dev/null"], check=False).output == "/etc/kept\n"
    planned = host.run(["hostwright", "plan"], check=False)
    assert "- file:/etc/kept: remove, left Git  [files], held" in planned.output
    world.commit("Let it go", {"policies/motd.rego": KEPT.replace("/etc/kept", "/etc/other")})
    assert apply(host).code == 0
    assert host.run(["ls", "/etc/kept"], check=False).code != 0


def test_a_rule_with_a_mistake_holds_everything_and_is_a_problem(world: World, host: Host) -> None:
    world.commit("Spoil it", {"policies/motd.rego": "package main\n\ndeny contains nope(1)\n"})
    host.write("/etc/motd", "by hand\n")
    assert apply(host).code == 6
    assert host.read("/etc/motd") == "by hand\n"
    (problem,) = world.report("web1")["problems"]
    assert problem["kind"] == "policy"
    assert "policies/motd.rego:3:" in problem["message"]
