from __future__ import annotations

import pytest

from agent.deploys.packages.other_managers import MANAGERS
from tests.deploys.on_host import Deploys
from tests.deploys.taking_back import Kinds

HOST_IMAGE = "mirrored"
BOOTED_ON = ("trixie",)
"""One suite: the life cycles of packages run on all of them."""

LEDGER = "/var/lib/hostwright/ledger"
HOLDS = "/var/lib/hostwright/holds"


@pytest.fixture(scope="module")
def kinds(deploys: Deploys) -> Kinds:
    """What is installed now was there before the agent."""
    deploys.host.run("apt-get -qq update")
    deploys.host.run(f"mkdir -p {LEDGER}; dpkg-query -W -f '${{Package}}\\n' > {LEDGER}/packages-before")
    return Kinds(deploys.host)


def there(deploys: Deploys, *names: str) -> list[str]:
    """Of ``names`` those that dpkg still knows anything about, with what."""
    told = deploys.host.run(["dpkg-query", "-Wf", "${Package} ${db:Status-Abbrev}\\n", *names], check=False).output
    return [line.strip() for line in told.splitlines() if " un" not in line]


def install(deploys: Deploys, *names: str) -> None:
    deploys.host.run(["apt-get", "-qq", "--yes", "--no-install-recommends", "install", *names], timeout_s=300)


def test_a_package_is_seen_with_what_is_said_of_it(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "jq")
    deploys.host.run("apt-mark hold jq")
    seen, library = kinds.look("package:jq"), kinds.look("package:libjq1")
    assert seen is not None
    assert library is not None
    assert (seen["held"], seen["auto"]) == (True, False)
    assert (library["held"], library["auto"]) == (False, True)
    assert kinds.look("package:jq:amd64") == seen
    assert kinds.look("package:no-such") is None
    deploys.host.run("apt-mark unhold jq")


def test_packages_go_with_what_came_along_and_their_configuration_stays(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "jq", "nano")
    kinds.settle("package:nano")
    assert kinds.remove("package:jq", "package:nano", "package:no-such") == {}
    assert there(deploys, "jq", "libjq1", "libonig5", "nano") == ["nano rc"]
    assert deploys.host.read("/etc/nanorc")


def test_purged_they_take_their_configuration_along_also_later(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "nano")
    kinds.remove("package:nano")
    assert kinds.remove("package:nano", purge=True) == {}
    assert there(deploys, "nano") == []
    assert deploys.host.run("ls /etc/nanorc", check=False).code != 0


def test_what_something_else_needs_stays_and_the_others_go(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "jq", "tree")
    deploys.host.run(f"apt-mark hold libjq1; mkdir -p {HOLDS}; touch {HOLDS}/libjq1")
    assert kinds.remove("package:libjq1", "package:tree") == {"package:libjq1": "jq needs it"}
    assert there(deploys, "jq", "libjq1", "tree") == ["jq ii", "libjq1 ii"], "and no more held by the agent"
    assert kinds.remove("package:libjq1", "package:jq", purge=True) == {}


def test_what_the_system_needs_stays(kinds: Kinds) -> None:
    reasons = kinds.remove("package:base-files", "package:dpkg")
    assert reasons == dict.fromkeys(["package:base-files", "package:dpkg"], "the system cannot do without it")


def test_what_came_along_and_git_wants_stays_with_what_it_needs(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "jq")
    assert kinds.remove("package:jq", wanted=["package:libjq1", "package:no-such"]) == {}
    assert there(deploys, "jq", "libjq1", "libonig5") == ["libjq1 ii", "libonig5 ii"]
    deploys.host.run("apt-get -qq -y autoremove --purge")


def test_what_had_been_unneeded_before_stays_for_whoever_left_it(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "bc", "libjq1")
    deploys.host.run("apt-mark auto libjq1")
    assert kinds.remove("package:bc", purge=True) == {}
    assert there(deploys, "libjq1") == ["libjq1 ii"]
    deploys.host.run("apt-get -qq -y autoremove --purge")


def test_what_was_there_before_the_agent_stays(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "libjq1")
    deploys.host.run(f"echo libjq1 >> {LEDGER}/packages-before; apt-mark auto libjq1")
    install(deploys, "jq")
    assert kinds.remove("package:jq", purge=True) == {}
    assert there(deploys, "libjq1") == ["libjq1 ii"]
    deploys.host.run(f"sed -i /libjq1/d {LEDGER}/packages-before; apt-get -qq -y autoremove --purge")


PACKAGE = """
mkdir -p /root/{name}/DEBIAN
printf '%s\\n' 'Package: {name}' 'Version: 1' 'Architecture: all' 'Maintainer: A <a@example.org>' 'Description: a' \\
    '{field}' > /root/{name}/DEBIAN/control
dpkg-deb --build /root/{name} > /dev/null
"""


@pytest.mark.parametrize(
    ("field", "since", "stays"),
    [
        ("Suggests: hw-shared", False, False),
        ("Recommends: hw-shared (>= 1) | nothing", False, False),
        ("Recommends: nothing | hw-shared", True, True),
    ],
)
def test_what_came_along_stays_only_for_a_package_that_brought_it_too(
    deploys: Deploys, kinds: Kinds, field: str, since: bool, stays: bool
) -> None:
    """apt itself keeps whatever anything suggests or recommends, also what did without it before."""
    packages = {"hw-shared": "Section: misc", "hw-ours": "Depends: hw-shared", "hw-theirs": field}
    for name, line in packages.items():
        deploys.host.run(PACKAGE.format(name=name, field=line))
    install(deploys, *(f"/root/{name}.deb" for name in packages))
    deploys.host.run("apt-mark auto hw-shared")
    if not since:
        deploys.host.run(f"echo hw-theirs >> {LEDGER}/packages-before")
    assert kinds.remove("package:hw-ours", purge=True) == {}
    assert there(deploys, "hw-ours", "hw-shared") == (["hw-shared ii"] if stays else [])
    deploys.host.run(f"sed -i /hw-/d {LEDGER}/packages-before; dpkg --purge hw-theirs hw-shared")


def test_a_hold_by_hand_is_a_change_and_the_agents_own_is_none(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "hello")
    kinds.settle("package:hello")
    deploys.host.run("apt-mark hold hello")
    assert kinds.changed("package:hello") == "held on this host"
    kinds.settle("package:hello")
    assert kinds.changed("package:hello") == ""
    assert kinds.remove("package:hello", purge=True) == {}
    assert there(deploys, "hello") == []


@pytest.mark.parametrize(("mark", "holds_still"), [("touch", ""), ("rm -f", "hello")])
def test_what_is_released_is_held_no_more_unless_a_person_held_it(
    deploys: Deploys, kinds: Kinds, mark: str, holds_still: str
) -> None:
    install(deploys, "hello")
    kinds.remember("package:hello")
    deploys.host.run(f"apt-mark hold hello; mkdir -p {HOLDS}; {mark} {HOLDS}/hello")
    kinds.settle("package:hello")
    kinds.release("package:hello")
    assert deploys.host.run("apt-mark showhold").output.strip() == holds_still
    assert deploys.host.run(f"ls {HOLDS}").output == ""
    kinds.release("package:hello")
    deploys.host.run("apt-mark unhold hello")


def test_what_is_taken_away_leaves_no_mark_of_its_hold(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "hello")
    deploys.host.run(f"apt-mark hold hello; mkdir -p {HOLDS}; touch {HOLDS}/hello")
    assert kinds.remove("package:hello", purge=True) == {}
    assert deploys.host.run(f"ls {HOLDS}").output == ""


def test_a_package_that_was_taken_away_comes_back_as_it_was(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "nano")
    deploys.host.run("apt-mark auto nano")
    kinds.remember("package:nano")
    deploys.host.run("apt-get -qq -y remove nano")
    kinds.settle("package:nano")
    assert kinds.restore("package:nano") == ""
    seen = kinds.look("package:nano")
    assert seen is not None
    assert seen["auto"] is True


def test_a_hold_and_a_mark_are_given_back(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "figlet")
    deploys.host.run("apt-mark hold figlet; apt-mark auto figlet")
    kinds.remember("package:figlet")
    deploys.host.run("apt-mark unhold figlet; apt-mark manual figlet")
    kinds.settle("package:figlet")
    before = kinds.look("package:figlet")
    assert kinds.restore("package:figlet") == ""
    after = kinds.look("package:figlet")
    assert before is not None
    assert after == {**before, "held": True, "auto": True}


def test_a_version_that_cannot_be_had_any_more_is_said(deploys: Deploys, kinds: Kinds) -> None:
    install(deploys, "bc")
    kinds.remember("package:bc")
    kinds._before["package:bc"]["state"]["version"] = "0.1-1"
    assert "bc 0.1-1 cannot be had any more" in kinds.restore("package:bc")


@pytest.mark.parametrize(
    ("manager", "keep", "purge"),
    [
        ("dnf", "rpm --erase", "rpm --erase"),
        ("zypper", "rpm --erase", "rpm --erase"),
        ("apk", "apk del", "apk del --purge"),
        ("pacman", "pacman --noconfirm -R", "pacman --noconfirm -R --nosave"),
    ],
)
def test_other_managers_are_told_in_their_own_words(manager: str, keep: str, purge: str) -> None:
    told = MANAGERS[manager]
    assert " ".join(told.keep) == keep
    assert " ".join(told.purge) == purge
