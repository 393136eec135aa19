"""A host follows its repository: what is pushed is applied, what is changed by hand is repaired, both are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.domain.status import report_path
from agent.inventory.schema import schema
from tests.fleet.samples import paths
from tests.gitserver import ssh_server
from tests.lab.host import Host
from tests.stories.conftest import Boot
from tests.stories.world import MOTD, World, apply, cycle, events, follow, spoil, stays_at_rest, until

NEW_MOTD = MOTD.replace("from", "again from")


def is_new(host):
    return host.read("/etc/motd") == "hello again from web1\n"


@pytest.mark.usefixtures("daemon")
def test_the_daemon_applies_what_is_pushed_over_http(world: World, host: Host) -> None:
    assert host.read("/etc/motd") == "hello from web1\n"
    world.site(NEW_MOTD)
    until(lambda: is_new(host), "the new motd")


def test_the_daemon_applies_what_is_pushed_over_ssh(new_world: World, boot: Boot, tmp_path: Path) -> None:
    host, world = boot(), new_world
    with ssh_server(tmp_path / "sshd") as server:
        host.push(server.known_hosts, "/root/known_hosts")
        host.push(server.client_key, "/root/.ssh/id_ed25519")
        follow(host, server.url(world.bare), "--known-hosts", "/root/known_hosts")
        world.site(NEW_MOTD)
        until(lambda: is_new(host), "the new motd")
        until(lambda: world.report("web1")["commits"]["aimed"] == world.head, "the report of it")
        assert stays_at_rest(host)


def test_the_daemon_applies_what_is_pushed_to_a_repository_on_the_host(new_world: World, boot: Boot) -> None:
    host = boot()
    host.push(new_world.bare, "/srv/config.git")
    follow(host, "/srv/config.git")
    script = "git clone -q /srv/config.git c && cd c && git config user.email a@b && git config user.name a"
    edit = "sed -i 's/from/again from/' inventories/lab/site.yaml && git commit -qam again && git push -q"
    host.run(f"cd /root && {script} && {edit}")
    until(lambda: is_new(host), "the new motd")


@pytest.mark.usefixtures("daemon")
def test_a_file_changed_by_hand_is_repaired_and_told_with_its_diff(world: World, host: Host) -> None:
    spoil(host, "changed by hand\n")
    until(lambda: host.read("/etc/motd") == "hello from web1\n", "the repair")
    (event,) = until(lambda: [each for each in events(host) if each["kind"] == "drift-repaired"], "the event")
    assert event["resource"] == "file:/etc/motd"
    assert "-changed by hand\n+hello from web1\n" in event["diff"]


@pytest.mark.usefixtures("daemon")
def test_what_was_found_on_the_host_does_not_leave_it(world: World, host: Host) -> None:
    def of_drift(report: dict[str, Any]) -> dict[str, Any] | None:
        return report if any(change["cause"] == "drift" for change in report["changes"]) else None

    spoil(host, "password=hunter2\n")
    report = until(lambda: of_drift(world.report("web1")), "the report")
    assert report
    (change,) = report["changes"]
    assert (change["state"], change["added"], change["removed"]) == ("done", 1, 1)
    assert "hunter2" not in json.dumps(report)


def test_a_dotfile_changed_in_git_is_intended(world: World, host: Host) -> None:
    world.commit(
        "Dotfiles",
        {
            "inventories/lab/site.yaml": "- hosts: all\n  deploys:\n    - dotfiles: {user: root, sets: [common]}\n",
            "dotfiles/common/.vimrc": "set number\n",
        },
    )
    apply(host)
    world.commit("Quieter", {"dotfiles/common/.vimrc": "set nonumber\n"})
    apply(host)
    assert host.read("/root/.vimrc") == "set nonumber\n"
    (change,) = world.report("web1")["changes"]
    assert (change["cause"], change["state"], change["resource"]) == ("intended", "done", "file:~root/.vimrc")


def test_a_host_in_sync_plans_nothing_and_exits_0(world: World, host: Host) -> None:
    done = host.run(["hostwright", "plan"])
    assert done.output == f"in sync with commit {world.head[:12]}\n"


def test_planning_shows_drift_with_its_diff_changes_nothing_and_exits_10(world: World, host: Host) -> None:
    host.write("/etc/motd", "by hand\n")
    done = host.run(["hostwright", "plan"], check=False)
    assert done.code == 10
    assert "~ file:/etc/motd: write content  [drift, files]" in done.output
    assert "-by hand" in done.output
    assert host.read("/etc/motd") == "by hand\n"


def test_drift_is_told_apart_from_what_git_wants(world: World, host: Host) -> None:
    assert host.run(["hostwright", "drift"]).output == f"no drift from commit {world.head[:12]}\n"
    host.write("/etc/motd", "by hand\n")
    done = host.run(["hostwright", "drift", "--json"], check=False)
    assert done.code == 10
    (deploy,) = json.loads(done.output)["data"]["deploys"]
    assert [change["cause"] for change in deploy["changes"]] == ["drift"]


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_report_is_valid_signed_and_in_the_table(world: World, host: Host) -> None:
    assert apply(host).code == 0
    report = world.report("web1")
    jsonschema.validate(report, schema("report"))
    assert (report["phase"], report["commits"]["aimed"], report["problems"]) == ("converged", world.head, [])
    assert world.signature("web1").startswith(b"-----BEGIN SSH SIGNATURE-----")
    assert "web1" in world.page()


@pytest.mark.usefixtures("daemon")
def test_a_suspended_host_is_looked_at_and_not_touched(world: World, host: Host) -> None:
    host.run(["hostwright", "suspend", "the disk is being replaced", "--for", "1h"])
    assert "suspended on this host: the disk is being replaced, until" in host.run(["hostwright", "status"]).output
    world.site(NEW_MOTD)
    host.write("/etc/motd", "by hand\n")
    assert cycle(host) == 0
    assert host.read("/etc/motd") == "by hand\n"
    assert world.report("web1")["phase"] == "drifted"
    assert any("the disk is being replaced" in hold["reason"] for hold in world.report("web1")["holds"])
    assert host.run(["hostwright", "status"]).output.count("the disk is being replaced") == 1
    host.run(["hostwright", "resume"])
    assert cycle(host) == 0
    assert is_new(host)


@pytest.mark.usefixtures("daemon")
def test_a_host_that_is_uninstalled_leaves_no_report_behind(world: World, host: Host) -> None:
    assert report_path("web1") in paths(world.bare)
    host.run(["hostwright", "uninstall", "--yes"])
    assert [path for path in paths(world.bare) if path.startswith("hosts/")] == []
    assert "no report yet" in world.page()
