"""A window of a real host: what waits in front of it, removals and what is run for them included, and that it opens."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from tests.lab.host import Host
from tests.stories.world import World, until

BASE = "schedule: {fetch: 2s, drift: 2s, settle: 0s, deploy_timeout: 60s}\n"
SITE = """\
- hosts: all
  deploys:
    - files: {/etc/motd: {content: "%s\\n"}}
"""
LEAVING = """\
    - name: going
      deploy: files
      with: {/etc/going: {content: "x"}}
    - name: gone
      deploy: deploys/gone.py
      on_remove: deploys/farewell.py
"""
DEPLOYS = {
    "deploys/gone.py": "from pyinfra.operations import files\nfiles.file(name='Here', path='/etc/gone')\n",
    "deploys/farewell.py": "from pyinfra.operations import files\nfiles.file(name='Bye', path='/etc/farewell')\n",
}


def opening(ahead_s: int) -> str:
    """The window that begins with a minute, at least so many seconds from now."""
    start = datetime.fromtimestamp((int(time.time()) + ahead_s) // 60 * 60 + 60, UTC)
    return f"windows: [{{hosts: all, from: '{start:%H:%M}', for: 20m}}]\n"


def test_what_git_newly_wants_waits_for_the_window_and_goes_in_with_it(world: World, host: Host) -> None:
    world.commit(
        "Give", {"inventories/lab/site.yaml": SITE % "given" + LEAVING, "inventories/lab/fleet.yaml": BASE} | DEPLOYS
    )
    host.run("hostwright apply")
    world.commit("Wait", {"inventories/lab/fleet.yaml": BASE + opening(ahead_s=3600)})
    host.run("hostwright apply")
    newest = world.commit("Take", {"inventories/lab/site.yaml": SITE % "taken"})
    host.write("/etc/motd", "by hand\n")
    host.run("hostwright apply")
    assert host.read("/etc/motd") == "given\n"  # drift does not wait
    assert [hold["kind"] for hold in world.report("web1")["holds"]] == ["window"]
    plan = host.run("hostwright plan", check=False)
    assert f"not aimed at: commit {newest[:12]}: it is outside its windows" in plan.output
    told = json.loads(host.run("hostwright --json plan", check=False).output)["data"]["newest"]
    assert told["commit"] == newest
    assert host.run("ls /etc/going /etc/gone").code == 0

    world.commit("Wait no longer", {"inventories/lab/fleet.yaml": BASE + opening(ahead_s=5)})
    host.run("systemctl start hostwright")
    until(lambda: host.read("/etc/motd") == "taken\n", "the window opens")
    until(lambda: host.run("test -e /etc/going", check=False).code != 0, "what has left Git goes")
    until(lambda: host.run("test -e /etc/farewell", check=False).code == 0, "what was to run for it ran")
