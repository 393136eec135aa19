"""dpkg-query.txt was written on a bookworm host: tree held, hello unpacked only, nano removed, i386 added.
apt-cache-offers.txt is put together from what Debian's and Ubuntu's apt say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.deploys.packages.changes import Holds, PackageChange, changes, unclear, with_upgrades
from agent.deploys.packages.dpkg import Installed, Packages, parsed
from agent.deploys.packages.policy import security_sources, tables, versions

HERE = Path(__file__).parent


@pytest.fixture
def found() -> Packages:
    return parsed((HERE / "dpkg-query.txt").read_text())


def texts(found: Packages, present: Mapping[str, str | None], *absent: str, virtual: tuple[str, ...] = ()) -> list[str]:
    return [job.text for job in changes(found, present, absent, frozenset(virtual))]


def test_what_is_installed_needs_nothing(found: Packages) -> None:
    assert texts(found, {"apt": None, "dpkg": "1.21.23", "tzdata": None, "libc6:i386": None, "libc6:amd64": None}) == []


def test_what_is_missing_is_installed(found: Packages) -> None:
    assert texts(found, {"jq": None, "git": "1:2.39"}) == ["install jq", "install git 1:2.39"]


def test_another_version_than_the_pin_gives_way(found: Packages) -> None:
    assert texts(found, {"apt": "2.7"}) == ["install apt 2.7 in place of 2.6.1"]


def test_another_architecture_is_another_package(found: Packages) -> None:
    assert texts(found, {"apt:i386": None}) == ["install apt:i386"]
    assert texts(found, {}, "apt:i386") == []


def test_a_half_installed_package_is_not_there_yet(found: Packages) -> None:
    assert texts(found, {"hello": None}) == ["install hello, which is half installed"]
    assert found.interrupted


def test_what_was_cut_off_while_it_was_unpacked_has_to_be_unpacked_anew() -> None:
    rows = ("dpkg\tamd64\tii \t1", "jq\tamd64\tiHR\t1.7", "nano\tall\tiU \t7", "jq\ti386\tiHR\t1.6")
    packages = parsed("\n".join(f"{row}\t\t\t\t\t." for row in rows))
    damaged = {found.name: found.version for found in packages.installed.values() if found.damaged}
    assert damaged == {"jq": "1.7", "jq:i386": "1.6"}
    assert packages.interrupted


def test_a_removed_package_whose_configuration_stayed_is_absent(found: Packages) -> None:
    assert texts(found, {}, "nano") == []
    assert texts(found, {"nano": None}) == ["install nano"]


def test_what_must_not_be_there_goes_even_half_installed(found: Packages) -> None:
    assert texts(found, {}, "hello", "tree", "vim") == ["remove hello", "remove tree"]


def test_a_virtual_package_is_there_when_another_provides_it(found: Packages) -> None:
    assert unclear(found, ["awk", "apt", "jq"]) == ("awk",)
    assert texts(found, {"awk": None}, virtual=("awk",)) == []


def test_a_real_package_that_another_provides_is_installed_nevertheless(found: Packages) -> None:
    assert texts(found, {"hardlink": None, "awk": None}) == ["install hardlink", "install awk"]


def test_a_hold_is_seen_where_it_would_be_broken(found: Packages) -> None:
    assert texts(found, {"tree": None}) == []
    (job,) = changes(found, {"tree": "3"}, ())
    assert job.refused


@pytest.mark.parametrize(
    ("job", "argument"),
    [
        (PackageChange("git"), "git"),
        (PackageChange("git", version="1:2.39"), "git=1:2.39"),
        (PackageChange("libc6:i386"), "libc6:i386"),
        (PackageChange("nano", remove=True), "nano-"),
        (PackageChange("g++", remove=True), "g++-"),
    ],
)
def test_a_job_is_told_to_apt_as_apt_reads_it(job: PackageChange, argument: str) -> None:
    assert job.argument == argument


def test_a_job_is_done_when_the_host_is_as_it_says(found: Packages) -> None:
    assert PackageChange("apt").done(found)
    assert PackageChange("nano", remove=True).done(found)
    assert PackageChange("awk").done(found)
    assert not PackageChange("apt", version="9").done(found)
    assert not PackageChange("tree", remove=True).done(found)


def held_texts(found: Packages, present: dict[str, str | None], *absent: str, holds: Holds) -> list[str]:
    return [job.text for job in changes(found, present, absent, holds=holds)]


def test_a_hold_that_git_wants_is_part_of_the_package(found: Packages) -> None:
    holds = Holds(wanted={"apt", "tree", "jq", "hello"})
    assert held_texts(found, {"apt": None, "tree": None, "jq": "1", "hello": None}, holds=holds) == [
        "hold apt",
        "install jq 1 and hold it",
        "install hello, which is half installed and hold it",
    ]


def test_a_hold_that_git_gave_and_wants_no_more_is_lifted(found: Packages) -> None:
    assert held_texts(found, {"tree": None}, holds=Holds(ours={"tree"})) == ["unhold tree"]
    assert held_texts(found, {"tree": None, "apt": None}, holds=Holds(ours={"apt"})) == []


def test_git_may_change_and_remove_what_it_holds_itself(found: Packages) -> None:
    (pinned,) = changes(found, {"tree": "3"}, (), holds=Holds(wanted={"tree"}))
    (removed,) = changes(found, {}, ("tree",), holds=Holds(ours={"tree"}))
    assert not pinned.refused
    assert not removed.refused


def test_a_job_with_a_hold_is_done_when_the_package_is_held(found: Packages) -> None:
    assert PackageChange("tree", hold=True).done(found)
    assert not PackageChange("tree", hold=False).done(found)
    assert not PackageChange("apt", hold=True).done(found)


OFFERS = (HERE / "apt-cache-offers.txt").read_text()


def newer(sources: frozenset[str] | None) -> dict[str, str | None]:
    return {name: table.upgrade(sources) for name, table in tables(OFFERS).items()}


def test_a_security_update_is_found_also_below_a_newer_version_of_another_origin() -> None:
    assert newer(security_sources(OFFERS)) == {
        "dpkg": None,
        "libssh2-1": "1.10.0-3+deb12u1",
        "libbetween": "1.1",
        "libpinned": None,
        "libforeign:i386": "1.1",
        "libgone": None,
    }


def test_all_upgrades_are_what_apt_would_choose() -> None:
    found = newer(None)
    assert (found["dpkg"], found["libbetween"], found["libpinned"]) == ("1.21.23", "1.2", None)


def upgraded(found: Packages, versions: dict[str, str], before: tuple[PackageChange, ...] = ()) -> dict[str, str]:
    jobs = with_upgrades(found, before, versions, "security upgrade", present=["apt", "libc6:amd64", "tree"])
    return {job.key: job.text for job in jobs}


def test_an_upgrade_belongs_to_the_package_that_git_names_and_else_to_nobody(found: Packages) -> None:
    assert upgraded(found, {"apt": "2.7", "libc6": "3", "mawk": "2", "libc6:i386": "3"}) == {
        "package:apt": "security upgrade 2.6.1 → 2.7",
        "package:libc6:amd64": "security upgrade 2.36-9+deb12u14 → 3",
        "upgrade:mawk": "security upgrade 1.3.4.20200120-3.1 → 2",
        "upgrade:libc6:i386": "security upgrade 2.36-9+deb12u14 → 3",
    }


def test_what_is_held_half_installed_or_has_a_job_is_not_upgraded(found: Packages) -> None:
    assert upgraded(found, {"tree": "3", "hello": "3", "nano": "9"}) == {}
    pinned = PackageChange("apt", version="2.6.1", found=found.by_name["apt"], install=False, hold=True)
    assert upgraded(found, {"apt": "2.7"}, (pinned,)) == {"package:apt": "hold apt"}


def test_what_a_lifted_hold_kept_back_comes_with_it(found: Packages) -> None:
    lifted = PackageChange("tree", found=Installed("2.1.0-1", complete=True, held=True), install=False, hold=False)
    assert upgraded(found, {"tree": "3"}, (lifted,)) == {"package:tree": "security upgrade 2.1.0-1 → 3"}


def test_policy_tells_versions_of_real_packages_and_none_of_virtual_ones() -> None:
    known = versions((HERE / "apt-cache-policy.txt").read_text())
    assert known["nginx"] == {"1.22.1-9+deb12u9"}
    assert known["libc6:i386"] == {"2.36-9+deb12u14"}
    assert known["mail-transport-agent"] == frozenset()
    assert "nosuchthing" not in known


def test_output_of_nothing_is_nothing() -> None:
    assert parsed("") == Packages()
    assert versions("") == {}
