"""A vendor's repository, pins, holds and upgrades on a booted host.

On one suite and with --long, because they take minutes; the life cycles of packages run always and on all suites.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploys.on_host import Deploys
from tests.deploys.packages.vendor import Key, Vendor

pytestmark = [pytest.mark.booted, pytest.mark.long]

BOOTED_ON = ("trixie",)
ONLINE = True

SOURCES = "file:/etc/apt/sources.list.d/hostwright-{}.sources"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Its packages are also security updates: its label says so."""
    with Vendor(tmp_path_factory.mktemp("vendor"), label="Debian-Security") as vendor:
        for name in ("hw-pin", "hw-hold", "hw-hand", "hw-fix", "hw-free", "hw-two"):
            vendor.add(name, "1.0")
        vendor.add("hw-pin", "2.0")
        vendor.add("hw-real", "1.0", fields={"Provides": "hw-virtual"})
        vendor.add("hw-broken", "1.0", scripts={"postinst": "#!/bin/sh\necho my own complaint >&2; exit 3\n"})
        vendor.add("hw-refusing", "1.0", scripts={"preinst": "#!/bin/sh\nexit 3\n"})
        vendor.publish()
        yield vendor


@pytest.fixture(autouse=True)
def _no_repository(deploys: Deploys) -> None:
    """By hand: a deploy would take seconds before each test."""
    deploys.host.run("rm -f /etc/apt/sources.list.d/hostwright-* /etc/apt/keyrings/hostwright-*")


@pytest.fixture
def repository(deploys: Deploys, vendor: Vendor, _no_repository: None) -> dict[str, Any]:
    wanted = {"vendor": vendor.repository()}
    deploys.converge("packages", {"repositories": wanted})
    return wanted


def version(deploys: Deploys, name: str) -> str:
    done = deploys.host.run(["dpkg-query", "-Wf", "${db:Status-Abbrev}${Version}", name], check=False)
    return done.output[1:].lstrip("i ") if done.output[1:2] == "i" else ""


def held(deploys: Deploys) -> list[str]:
    return deploys.host.run("apt-mark showhold").output.split()


def marked(deploys: Deploys) -> str:
    return deploys.host.run("ls /var/lib/hostwright/holds 2>/dev/null || true").output


def released(vendor: Vendor, deploys: Deploys, *packages: tuple[str, str]) -> None:
    """New versions that the host's lists know of."""
    for name, number in packages:
        vendor.add(name, number)
    vendor.publish()
    deploys.host.run("apt-get -qq update")


def test_a_repository_comes_with_its_key_before_its_packages(deploys: Deploys, vendor: Vendor) -> None:
    wanted = {"present": ["hw-two"], "repositories": {"first": vendor.repository()}}
    planned = deploys.plan("packages", wanted)
    assert planned.changes[-1] == "package:hw-two | install hw-two", "what is not known yet is planned"
    changes = deploys.converge("packages", wanted)
    assert [change.partition(" | ")[0] for change in changes] == [
        "file:/etc/apt/keyrings/hostwright-first.asc",
        SOURCES.format("first"),
        "package:hw-two",
    ]
    assert "NO_PUBKEY" not in deploys.host.run("apt-get update 2>&1").output
    deploys.host.run(
        "echo '# x' >> /etc/apt/sources.list.d/hostwright-first.sources; rm /etc/apt/keyrings/hostwright-first.asc"
    )
    assert len(deploys.converge("packages", wanted)) == 2
    deploys.converge("packages", {"absent": ["hw-two"], "repositories": {"first": {"absent": True}}})
    assert "hostwright-first" not in deploys.host.run("ls /etc/apt/keyrings /etc/apt/sources.list.d").output


def test_a_repository_signed_by_another_key_is_refused_by_name_and_breaks_no_other(
    deploys: Deploys, vendor: Vendor, tmp_path: Path
) -> None:
    other = Key(tmp_path, "other")
    wanted = {
        "present": ["hw-free", "jq"],
        "repositories": {
            "good": vendor.repository(),
            "wrong": vendor.repository(key=other.public, url=vendor.other_url),
        },
    }
    other.close()
    told = deploys.apply("packages", wanted)
    assert list(told.failed) == [SOURCES.format("wrong")]
    complaint = told.failed[SOURCES.format("wrong")]
    assert "NO_PUBKEY" in complaint or "Missing key" in complaint
    assert {"package:hw-free", "package:jq"} <= set(told.succeeded)
    assert told.left == (f"{SOURCES.format('wrong')} | fetch its package lists",), "it is not forgotten"


def test_a_new_key_that_does_not_fit_is_not_covered_by_old_lists(
    deploys: Deploys, vendor: Vendor, tmp_path: Path
) -> None:
    other = Key(tmp_path, "other")
    told = deploys.apply("packages", {"repositories": {"rotated": vendor.repository(key=other.public)}})
    other.close()
    assert list(told.failed) == [SOURCES.format("rotated")]
    assert told.left


def test_a_source_that_apt_cannot_read_beside_the_others_does_not_stay(
    deploys: Deploys, vendor: Vendor, repository: dict[str, Any], tmp_path: Path
) -> None:
    other = Key(tmp_path, "other")
    told = deploys.apply(
        "packages", {"present": ["bc"], "repositories": {"again": vendor.repository(key=other.public)}}
    )
    other.close()
    assert "Conflicting values set for option Signed-By" in told.failed[SOURCES.format("again")]
    assert told.succeeded[-1] == "package:bc"


def test_a_repository_that_cannot_be_reached_says_so(deploys: Deploys, vendor: Vendor) -> None:
    gone = {"gone": vendor.repository(url="http://127.0.0.1:9/")}
    told = deploys.apply("packages", {"present": ["hello"], "repositories": gone})
    assert "connect" in told.failed[SOURCES.format("gone")]
    assert told.succeeded[-1] == "package:hello"


def test_a_pin_goes_up_and_down_and_stays_where_it_is(deploys: Deploys, repository: dict[str, Any]) -> None:
    assert deploys.converge("packages", ["hw-pin=1.0"]) == ("package:hw-pin | install hw-pin 1.0 and hold it",)
    deploys.host.run("apt-get -qq -y upgrade")
    assert deploys.plan("packages", ["hw-pin=1.0"]).changes == ()
    deploys.converge("packages", ["hw-pin=2.0"])
    assert version(deploys, "hw-pin") == "2.0"
    deploys.converge("packages", ["hw-pin=1.0"])
    assert (version(deploys, "hw-pin"), held(deploys)) == ("1.0", ["hw-pin"])
    deploys.host.run("apt-get -qq -y --allow-change-held-packages install hw-pin=2.0")
    assert deploys.converge("packages", ["hw-pin=1.0"]) == (
        "package:hw-pin | install hw-pin 1.0 in place of 2.0 and hold it",
    )
    assert deploys.converge("packages", ["hw-pin"]) == ("package:hw-pin | unhold hw-pin",)
    assert (held(deploys), marked(deploys)) == ([], "")


def test_a_virtual_package_brings_the_one_that_provides_it(deploys: Deploys, repository: dict[str, Any]) -> None:
    assert deploys.converge("packages", ["hw-virtual"]) == ("package:hw-virtual | install hw-virtual",)
    assert version(deploys, "hw-real") == "1.0"


def test_a_hold_is_kept_and_ends_with_git(deploys: Deploys, repository: dict[str, Any]) -> None:
    wanted = {"held": ["hw-hold"]}
    assert deploys.converge("packages", wanted) == ("package:hw-hold | install hw-hold and hold it",)
    deploys.host.run("apt-mark unhold hw-hold")
    assert deploys.converge("packages", wanted) == ("package:hw-hold | hold hw-hold",)
    deploys.host.run("apt-get -qq -y remove --allow-change-held-packages hw-hold")
    assert deploys.converge("packages", wanted) == ("package:hw-hold | install hw-hold and hold it",)
    assert held(deploys) == ["hw-hold"]
    assert deploys.converge("packages", {"absent": ["hw-hold"]}) == ("package:hw-hold | remove hw-hold",)
    assert marked(deploys) == ""


def test_a_hold_by_hand_outlives_one_by_git(deploys: Deploys, repository: dict[str, Any]) -> None:
    deploys.converge("packages", ["hw-hand"])
    deploys.host.run("apt-mark hold hw-hand")
    assert deploys.converge("packages", {"held": ["hw-hand"]}) == ()
    assert deploys.converge("packages", ["hw-hand"]) == ()
    assert held(deploys) == ["hw-hand"]
    told = deploys.apply("packages", {"absent": ["hw-hand"]})
    assert "hw-hand is held on this host" in told.failed["package:hw-hand"]
    deploys.host.run("apt-mark unhold hw-hand")


def test_security_updates_are_changes_of_their_own(
    deploys: Deploys, vendor: Vendor, repository: dict[str, Any]
) -> None:
    wanted: dict[str, Any] = {"present": ["hw-fix"], "held": ["hw-two"], "upgrades": "security"}
    deploys.converge("packages", {**wanted, "present": ["hw-fix", "hw-free"]})
    deploys.host.run("apt-mark auto hw-free; apt-get -qq -y --allow-downgrades install hw-fix=1.0; apt-get -qq update")
    number = f"1.{len(list(vendor.versions('hw-fix')))}"
    released(vendor, deploys, ("hw-fix", number), ("hw-free", number), ("hw-two", number))
    changes = deploys.plan("packages", wanted).changes
    assert f"package:hw-fix | security upgrade 1.0 → {number}" in changes
    assert f"upgrade:hw-free | security upgrade 1.0 → {number}" in changes
    assert not any("hw-two" in change for change in changes), "held"
    deploys.converge("packages", wanted)
    assert (version(deploys, "hw-fix"), version(deploys, "hw-two")) == (number, "1.0")
    assert deploys.host.run("apt-mark showauto hw-free").output.strip() == "hw-free"


def test_old_lists_are_fetched_for_upgrades_and_what_they_bring_is_done_at_once(
    deploys: Deploys, vendor: Vendor, repository: dict[str, Any]
) -> None:
    wanted = {"present": ["hw-fix"], "upgrades": "security"}
    deploys.converge("packages", wanted)
    number = f"1.{len(list(vendor.versions('hw-fix')))}"
    vendor.add("hw-fix", number)
    vendor.publish()
    assert deploys.plan("packages", wanted).changes == (), "an apt that has just looked is not asked again"
    deploys.host.run("touch -d '25 hours ago' /var/lib/apt/lists /var/lib/apt/lists/partial")
    assert deploys.converge("packages", wanted) == (
        "op:package-lists#1 | fetch package lists, which are 25 h old, and what upgrades they bring",
    )
    assert version(deploys, "hw-fix") == number


def test_apt_itself_is_told_to_keep_its_lists_new(deploys: Deploys) -> None:
    deploys.converge("packages", {"upgrades": "security"})
    dump = deploys.host.run("apt-config dump APT::Periodic::Update-Package-Lists").output
    assert '"always"' in dump


@pytest.mark.parametrize("failing", ["hw-broken", "hw-refusing"])
def test_a_package_whose_scripts_fail_names_itself_and_keeps_no_other_away(
    deploys: Deploys, repository: dict[str, Any], failing: str
) -> None:
    told = deploys.apply("packages", [failing, "hw-pin", "hw-hand", "hello"])
    assert list(told.failed) == [f"package:{failing}"]
    assert failing in told.failed[f"package:{failing}"]
    assert "returned error exit status 3" in told.failed[f"package:{failing}"]
    assert version(deploys, "hw-hand") == "1.0"
    deploys.host.run(f"dpkg --purge --force-all {failing}")
