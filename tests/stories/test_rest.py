"""A host at rest: no cycle runs until something has changed on it, or in Git, and then one does."""

from __future__ import annotations

import json

import pytest

from tests.lab.host import Host
from tests.stories.world import FLEET, World, cycle, events, kinds, spoil, stays_at_rest, until

pytestmark = pytest.mark.usefixtures("daemon")


APP = """\
from io import StringIO
from pyinfra.operations import apt, files, server, systemd
files.put(name="settings", src=StringIO("port=80\\n"), dest="/srv/app.conf", mode="644")
apt.packages(name="packages", packages=["git"])
server.user(name="root", user="root", home="/root", shell="/bin/bash")
systemd.service(name="dbus", service="dbus", running=True)
"""


def repaired(host: Host) -> bool:
    return host.read("/etc/motd") == "hello from web1\n"


def test_a_host_at_rest_gets_a_cycle_when_it_is_changed_and_rests_again(host: Host) -> None:
    assert stays_at_rest(host)
    spoil(host, "changed by hand\n")
    until(lambda: repaired(host), "the repair")
    assert stays_at_rest(host)


def test_a_host_with_a_deploy_file_rests_too_and_what_the_file_keeps_is_repaired(world: World, host: Host) -> None:
    site = "- hosts: all\n  deploys:\n  - {name: app, deploy: deploys/app.py}\n"
    world.commit("Keep an app", {"inventories/lab/site.yaml": site, "deploys/app.py": APP})
    cycle(host)
    assert stays_at_rest(host)
    host.write("/srv/app.conf", "changed by hand\n")
    until(lambda: host.read("/srv/app.conf") == "port=80\n", "the repair")


def test_a_host_at_rest_gets_a_cycle_when_a_unit_fails(world: World, host: Host) -> None:
    assert stays_at_rest(host)
    host.run("systemd-run --quiet --unit=broken false")
    until(lambda: "broken.service" in json.dumps(world.report("web1")["health"]), "the report of it")


def test_a_suspended_host_rests_and_goes_on_when_it_is_resumed(host: Host) -> None:
    host.run("hostwright suspend 'somebody works here'")
    cycle(host)
    assert stays_at_rest(host)
    assert "recovered" not in kinds(host)
    host.run("hostwright resume")
    until(lambda: "recovered" in kinds(host), "the end of the hold")


def test_a_watched_host_is_repaired_before_its_interval_is_over_and_tells_what_else_happened(
    world: World, host: Host
) -> None:
    watched = FLEET.replace("drift: 2s", "drift: 1h, watch: true")
    world.commit("Watch", {"inventories/lab/fleet.yaml": watched})
    host.run("useradd ann")
    cycle(host)
    assert stays_at_rest(host)
    host.run("su ann -c true; journalctl --sync")
    spoil(host, "changed by hand\n", owner="ann")
    until(lambda: repaired(host), "the repair")
    (found,) = until(lambda: [event for event in events(host) if event["kind"] == "evidence"], "the evidence")
    assert "/etc/motd: changed" in found["diff"]
    assert "belongs to ann:ann" in found["diff"]
    assert "journal: " in found["diff"]
    assert "/etc/motd: changed" not in json.dumps(world.report("web1"))
