"""An administrator has a host go to a commit of their choice, and stay there."""

from __future__ import annotations

import time

from tests.lab.host import Host
from tests.stories.world import MOTD, World, apply

SHUT = """\
schedule: {fetch: 1h, drift: 1h, settle: 0s}
windows: [{hosts: all, days: [%s], from: "00:00", for: 1h}]
"""


def cycle(host: Host) -> int:
    return host.run(["hostwright", "cycle"], check=False).code


def named(host: Host, *options: str) -> int:
    return host.run(["hostwright", "apply", *options], check=False).code


def says(world: World) -> list[tuple[str, str]]:
    return [(hold["kind"], hold["reason"]) for hold in world.report("web1")["holds"]]


def test_a_host_stays_on_the_commit_that_was_named_repairs_itself_there_and_goes_on_when_resumed(
    world: World, host: Host
) -> None:
    first = world.head
    world.site(MOTD.replace("from", "again from"))
    assert apply(host).code == 0
    assert named(host, "--commit", first, "--hold", "--for", "2h") == 0
    assert host.read("/etc/motd") == "hello from web1\n"
    world.site(MOTD.replace("from", "once more from"))
    host.write("/etc/motd", "by hand\n")
    assert cycle(host) == 0
    assert host.read("/etc/motd") == "hello from web1\n"
    report = world.report("web1")
    ((kind, until),) = [(hold["kind"], hold["until"]) for hold in report["holds"]]
    assert (report["phase"], kind, report["commits"]["aimed"]) == ("waiting", "pinned", first)
    assert 0 < until - time.time() <= 2 * 3600
    assert "newest commit" in host.run("hostwright resume").error
    assert cycle(host) == 0
    assert host.read("/etc/motd") == "hello once more from web1\n"
    assert world.report("web1")["phase"] == "converged"


def test_without_hold_the_next_cycle_goes_on_to_the_newest_commit(world: World, host: Host) -> None:
    first = world.head
    world.site(MOTD.replace("from", "again from"))
    assert apply(host).code == 0
    assert named(host, "--commit", first[:12]) == 0  # as status, plan and events show it
    assert host.read("/etc/motd") == "hello from web1\n"
    assert cycle(host) == 0
    assert host.read("/etc/motd") == "hello again from web1\n"


def test_what_is_not_in_the_history_is_refused_and_not_stayed_on(world: World, host: Host) -> None:
    assert named(host, "--commit", "e" * 40, "--hold") == 5
    world.site(MOTD.replace("from", "again from"))
    assert cycle(host) == 0
    assert host.read("/etc/motd") == "hello again from web1\n"


def test_a_commit_that_was_named_takes_away_what_only_a_later_one_brought(world: World, host: Host) -> None:
    first = world.head
    world.site(f'{MOTD}        /etc/later: {{content: "later\\n"}}\n')
    assert apply(host).code == 0
    assert named(host, "--commit", first, "--hold") == 0
    assert host.run("test -e /etc/later", check=False).code == 1


def test_a_commit_that_was_named_waits_for_no_window(world: World, host: Host) -> None:
    yesterday = time.strftime("%a", time.gmtime(time.time() - 86400)).lower()
    world.commit("Windows", {"inventories/lab/fleet.yaml": SHUT % yesterday})
    newest = world.site(MOTD.replace("from", "again from"))
    assert apply(host).code == 0
    assert (host.read("/etc/motd"), says(world)[0][0]) == ("hello from web1\n", "window")
    assert named(host, "--commit", newest) == 0
    assert host.read("/etc/motd") == "hello again from web1\n"
