"""A signed remote: what nobody trusted signed is refused before it is exported, reported, and exits with 5."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitserver import Author, author
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, following_signed
from tests.stories.world import MOTD, World, apply

EVIL = MOTD.replace("from", "evil from")


@pytest.fixture
def begun(lab: Lab) -> Followed:
    """A repository in which only Ann may sign."""
    return following_signed(lab, "bookworm")


@pytest.fixture
def ann(begun: Followed) -> Author:
    assert begun.signer is not None
    return begun.signer


@pytest.fixture
def mallory(tmp_path: Path) -> Author:
    return author(tmp_path / "keys", "mallory")


def refused(world: World, host: Host, kind: str) -> None:
    """The last apply changed nothing, exported nothing, said why, and reported it."""
    assert host.read("/etc/motd") == "hello from web1\n"
    assert world.head not in host.run("ls /var/lib/hostwright/commits").output
    report = world.report("web1")
    assert [problem["kind"] for problem in report["problems"]] == [kind]
    assert report["commits"]["seen"] == world.head
    assert report["commits"]["trusted"] != world.head


def test_a_commit_signed_by_whom_the_host_trusts_is_applied_and_its_signer_told(
    world: World, host: Host, ann: Author
) -> None:
    world.site(MOTD.replace("from", "again from"), by=ann)
    assert apply(host).code == 0
    assert host.read("/etc/motd") == "hello again from web1\n"
    assert world.report("web1")["commits"]["signer"] == "ann@example.org"


def test_an_unsigned_commit_is_refused(world: World, host: Host) -> None:
    world.site(EVIL)
    assert apply(host).code == 5
    refused(world, host, "unsigned")


def test_a_commit_by_a_wrong_signer_is_refused(world: World, host: Host, mallory: Author) -> None:
    world.site(EVIL, by=mallory)
    assert apply(host).code == 5
    refused(world, host, "wrong-signer")


def test_a_signed_commit_on_top_of_an_unsigned_one_is_refused(world: World, host: Host, ann: Author) -> None:
    world.site(EVIL)
    world.commit("Looks fine", {"README.md": "hello\n"}, by=ann)
    assert apply(host).code == 5
    refused(world, host, "unsigned")


def test_a_rewritten_history_is_refused_whoever_signed_it(world: World, host: Host, ann: Author) -> None:
    world.config.git("reset", "--quiet", "--hard", "HEAD~1")
    world.config.commit("Another history", {"inventories/lab/site.yaml": EVIL}, by=ann)
    world.push("--force")
    assert apply(host).code == 5
    refused(world, host, "history-rewritten")


def test_a_host_goes_on_repairing_itself_while_it_refuses(world: World, host: Host) -> None:
    world.site(EVIL)
    host.write("/etc/motd", "by hand\n")
    assert apply(host).code == 5
    assert host.read("/etc/motd") == "hello from web1\n"


def test_a_revert_signed_by_whom_the_host_trusts_heals_it(world: World, host: Host, ann: Author) -> None:
    good = world.head
    world.site(EVIL)
    assert apply(host).code == 5
    world.config.git("reset", "--quiet", "--hard", good)
    world.config.commit("Go on", {"README.md": "hello\n"}, by=ann)
    world.push("--force")
    assert apply(host).code == 0
    assert world.report("web1")["problems"] == []


def test_a_rewritten_history_is_taken_once_root_says_so_and_the_anchors_vouch_for_it(
    world: World, host: Host, ann: Author
) -> None:
    world.config.git("reset", "--quiet", "--hard", "HEAD~1")
    world.config.commit("Another history", {"inventories/lab/site.yaml": MOTD.replace("from", "again from")}, by=ann)
    world.push("--force")
    assert apply(host).code == 5
    host.run(["hostwright", "trust", "reset"])
    assert apply(host).code == 0
    assert host.read("/etc/motd") == "hello again from web1\n"


def test_a_host_whose_identity_was_merged_is_verified_by_everybody(world: World, host: Host, ann: Author) -> None:
    line = host.run(["hostwright", "identity"]).output
    world.commit("Admit web1", {"inventories/lab/identities/web1.pub": line}, by=ann)
    assert apply(host).code == 0
    status = world.status()
    assert [(each["host"], each["verdict"]) for each in status] == [("web1", "verified"), ("web2", "missing")]
