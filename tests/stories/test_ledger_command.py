"""`hostwright ledger`: what of a host is the agent's, and one thing of it given back."""

from __future__ import annotations

import json

from tests.lab.host import Completed, Host
from tests.stories.world import World, apply

ISSUE = """\
- hosts: all
  deploys:
    - files: {/etc/issue: {content: "ours\\n"}, /etc/new: {content: "ours\\n"}}
"""
NOTHING_OF_IT = "- hosts: all\n  deploys:\n    - files: {/etc/other: {content: 'ours\\n'}}\n"


def ledger(host: Host) -> dict[str, tuple[str, str]]:
    told = json.loads(host.run("hostwright --json ledger").output)["data"]
    return {entry["key"]: (entry["origin"], entry["standing"]) for entry in told}


def restore(host: Host, key: str) -> Completed:
    return host.run(["hostwright", "ledger", "restore", key], check=False)


def test_what_is_the_agents_is_listed_and_stays_while_git_wants_it(world: World, host: Host) -> None:
    world.site(ISSUE)
    assert apply(host).code == 0
    shown = host.run("hostwright ledger").output.splitlines()
    assert shown[0].split() == ["KEY", "ORIGIN", "STANDING", "DEPLOY", "SINCE"]
    assert ["file:/etc/issue", "adopted", "owned", "files"] in [line.split()[:4] for line in shown]

    refused = restore(host, "file:/etc/issue")
    assert refused.code == 2
    assert "files still wants file:/etc/issue" in refused.error

    unknown = restore(host, "file:/etc/isue")
    assert unknown.code == 2
    assert "near ones: file:/etc/issue" in unknown.error


def test_while_suspended_it_is_given_back_although_git_wants_it(world: World, host: Host) -> None:
    issue = host.read("/etc/issue")
    world.site(ISSUE)
    apply(host)
    host.run("hostwright suspend 'trying it without'")
    assert restore(host, "file:/etc/issue").code == 0
    assert restore(host, "file:/etc/new").code == 0
    assert host.read("/etc/issue") == issue
    assert host.run("test -e /etc/new", check=False).code == 1
    assert "file:/etc/issue" not in ledger(host)
    host.run("hostwright resume")
    assert apply(host).code == 0
    assert host.read("/etc/issue") == "ours\n"
    assert ledger(host)["file:/etc/issue"] == ("adopted", "owned")


def test_what_was_released_or_orphaned_is_given_back(world: World, host: Host) -> None:
    issue = host.read("/etc/issue")
    world.site(ISSUE)
    apply(host)
    host.write("/etc/new", "mine\n")
    world.commit("Less\n\nHostwright-Prune: allow", {"inventories/lab/site.yaml": NOTHING_OF_IT})
    assert apply(host).code == 0
    assert ledger(host)["file:/etc/issue"] == ("adopted", "released")
    assert ledger(host)["file:/etc/new"] == ("created", "orphaned")
    assert restore(host, "file:/etc/issue").code == 0
    assert restore(host, "file:/etc/new").code == 0
    assert host.read("/etc/issue") == issue
    assert host.run("test -e /etc/new", check=False).code == 1
    assert set(ledger(host)) & {"file:/etc/issue", "file:/etc/new"} == set()


def test_what_the_agent_needs_itself_is_not_given_back_while_it_is_there(host: Host) -> None:
    before = "/root/before"
    host.run(f"dpkg-query -W -f '${{Package}}\\n' | grep -v '^git$' > {before}; echo +git >> {before}")
    host.run(["hostwright", "setup", "--packages-before", before])
    assert ledger(host)["package:git"] == ("created", "owned")
    refused = restore(host, "package:git")
    assert (refused.code, "hostwright uninstall" in refused.error) == (2, True)
