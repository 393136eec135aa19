"""Whatever goes wrong, the host stays on what it had, says exactly what, and the next good commit heals it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitserver import http_server
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, at_rest, following
from tests.stories.world import HOSTS, MOTD, World, apply, cycle, events, kinds

BROKEN_DEPLOY = f"""\
{MOTD}    - name: broken
      deploy: deploys/broken.py
    - name: after
      deploy: files
      with: {{/etc/after: {{content: "after\\n"}}}}
      needs: [broken]
    - name: beside
      deploy: files
      with: {{/etc/beside: {{content: "beside\\n"}}}}
"""

FAILING = """\
from pyinfra.operations import server

command = "echo ran >> /root/ran; echo the reason: could not resolve host >&2; exit 3"
server.shell(name="fail on purpose", commands=[command])
"""
"""It may pass by itself: what fails for good is taken back, and tests/stories/test_rollback.py has that."""


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Followed:
    return following(lab, "bookworm")


@pytest.fixture(scope="module")
def world(begun: Followed, tmp_path_factory: pytest.TempPathFactory) -> World:
    return begun.world.copy(tmp_path_factory.mktemp("world") / "world")


@pytest.fixture(scope="module")
def host(lab: Lab, begun: Followed, world: World) -> Iterator[Host]:
    """One for all tests: each leaves it well."""
    with http_server(world.served) as server, at_rest(lab, begun, server) as host:
        yield host


def problems(world: World, host: str = "web1") -> list[str]:
    return [problem["kind"] for problem in world.report(host)["problems"]]


def test_a_deploy_that_fails_stops_only_what_needs_it_says_why_and_is_healed_by_the_next_good_commit(
    world: World, host: Host
) -> None:
    world.site(BROKEN_DEPLOY, **{"deploys/broken.py": FAILING})
    assert apply(host).code == 7
    assert host.read("/etc/beside") == "beside\n"
    assert host.run("test -e /etc/after", check=False).code == 1
    report = world.report("web1")
    statuses = {deploy["name"]: deploy["status"] for deploy in report["deploys"]}
    assert statuses == {"files": "in-sync", "broken": "failed", "after": "skipped", "beside": "done"}
    assert report["phase"] == "failed"
    (problem,) = report["problems"]
    assert (problem["kind"], problem["exit"]) == ("deploy-failed", 7)
    assert "the reason" in problem["message"]
    assert any("the reason" in event["message"] for event in events(host) if event["kind"] == "failed")

    assert host.run(["hostwright", "cycle"], check=False).code == 7
    assert host.read("/root/ran") == "ran\n", "it waits before it is tried again"
    apply(host)
    assert host.read("/root/ran") == "ran\nran\n", "a person need not"

    world.commit("Mend it", {"deploys/broken.py": FAILING.replace("exit 3", "exit 0")})
    assert host.run(["hostwright", "cycle"], check=False).code == 0
    assert host.read("/etc/after") == "after\n"
    assert (world.report("web1")["phase"], problems(world)) == ("converged", [])


def test_an_inventory_that_does_not_parse_leaves_the_host_on_what_it_had(world: World, host: Host) -> None:
    good = world.head
    world.site("- hosts: all\n  deplys: []\n")
    host.write("/etc/motd", "by hand\n")
    done = apply(host)
    assert done.code == 6
    assert "inventories/lab/site.yaml:2:3" in done.error
    assert host.read("/etc/motd") == "hello from web1\n"
    report = world.report("web1")
    assert (report["phase"], problems(world), report["commits"]["aimed"]) == ("failed", ["inventory"], good)


def test_the_next_good_commit_heals_a_broken_inventory(world: World, host: Host) -> None:
    world.site("- hosts: [\n")
    assert apply(host).code == 6
    world.site(MOTD.replace("from", "again from"))
    assert apply(host).code == 0
    assert host.read("/etc/motd") == "hello again from web1\n"
    assert (world.report("web1")["phase"], problems(world)) == ("converged", [])


def test_a_host_that_left_the_inventory_stays_as_it_is(world: World, host: Host) -> None:
    world.commit("Without web1", {"inventories/lab/hosts.yaml": "all:\n  hosts:\n    web2: {}\n"})
    assert apply(host).code == 6
    assert host.read("/etc/motd") == "hello again from web1\n"
    assert problems(world) == ["host-unknown"]
    world.commit("With web1", {"inventories/lab/hosts.yaml": HOSTS})
    assert apply(host).code == 0


def test_without_its_remote_a_host_keeps_itself_on_the_last_trusted_commit(world: World, host: Host) -> None:
    hidden = world.bare.with_name("gone.git")
    world.bare.rename(hidden)
    host.write("/etc/motd", "by hand\n")
    done = apply(host)
    hidden.rename(world.bare)
    assert done.code == 4
    assert host.read("/etc/motd") == "hello again from web1\n"
    assert host.run("ls /var/lib/hostwright/spool/*.json | wc -l").output.strip() == "1"
    assert "problem-source-unreachable" in kinds(host)


def test_reports_that_could_not_be_sent_arrive_later_and_none_is_lost(world: World, host: Host) -> None:
    hidden = world.bare.with_name("gone.git")
    world.bare.rename(hidden)
    for text in ("first\n", "second\n"):
        host.write("/etc/motd", text)
        apply(host)
        host.run(["hostwright", "cycle"], check=False)
    waiting = host.run("ls /var/lib/hostwright/spool | grep -c 'json$'").output.strip()
    hidden.rename(world.bare)
    before = int(world.config.git("-C", f"{world.bare}", "rev-list", "--count", "status"))
    assert apply(host).code == 0
    after = int(world.config.git("-C", f"{world.bare}", "rev-list", "--count", "status"))
    assert after - before == int(waiting) + 1
    assert host.run("ls /var/lib/hostwright/spool | grep 'json$'", check=False).output == ""


def test_a_status_remote_that_refuses_hides_nothing_and_stops_nothing(world: World, host: Host) -> None:
    world.site(MOTD.replace("from", "once more from"))
    hook = world.bare / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no reports today >&2\nexit 1\n")
    hook.chmod(0o755)
    done = apply(host)
    assert done.code == 9
    assert "no reports today" in done.error
    assert host.read("/etc/motd") == "hello once more from web1\n"
    hook.unlink()
    assert apply(host).code == 0
    assert world.report("web1")["commits"]["aimed"] == world.head


@pytest.mark.usefixtures("daemon")
def test_the_unit_s_exit_code_reaches_whoever_waits(world: World, host: Host) -> None:
    world.site("- hosts: [\n")
    assert cycle(host) == 6
