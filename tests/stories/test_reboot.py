"""A host that needs a reboot gets it once, and says so before."""

from __future__ import annotations

import time

from tests.lab.host import Host
from tests.stories.world import World, kinds, until

FLEET = """\
schedule: {fetch: 1h, drift: 1h, settle: 0s}
reboot: {hosts: web1, when: required}
"""
MARK = "/run/reboot-required"


def test_a_host_that_needs_a_reboot_reports_goes_down_once_and_goes_on(world: World, host: Host) -> None:
    host.run("systemctl disable hostwright.service")
    world.commit("Reboot when needed", {"inventories/lab/fleet.yaml": FLEET})
    host.run("hostwright cycle")
    host.run(f"touch {MARK}")
    assert "daemon" in host.run("hostwright apply").error
    host.run("systemctl start --no-block hostwright-cycle")
    until(lambda: not host.running, "the host is down")
    assert "rebooting" in [event["kind"] for event in world.report("web1")["events"]]
    host.kill()
    host.boot()
    host.run("hostwright cycle")
    assert world.report("web1")["phase"] == "converged"
    host.run(f"touch {MARK} && systemctl start hostwright-cycle")
    time.sleep(1)  # it would be going down by now
    assert host.running
    assert [hold["kind"] for hold in world.report("web1")["holds"]] == ["reboot"]
    assert kinds(host).count("rebooting") == 1
