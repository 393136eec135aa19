"""dpkg-query.txt was written on a bookworm host: tree held, hello unpacked only, nano removed, i386 added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.deploys.packages.dpkg import Job, Packages, done, jobs, parsed, unclear
from agent.deploys.packages.policy import versions

HERE = Path(__file__).parent


@pytest.fixture
def found() -> Packages:
    return parsed((HERE / "dpkg-query.txt").read_text())


def texts(found: Packages, present: Mapping[str, str | None], *absent: str, virtual: tuple[str, ...] = ()) -> list[str]:
    return [job.text for job in jobs(found, present, absent, frozenset(virtual))]


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
    (job,) = jobs(found, {"tree": "3"}, ())
    assert job.held


@pytest.mark.parametrize(
    ("job", "argument"),
    [
        (Job("git"), "git"),
        (Job("git", version="1:2.39"), "git=1:2.39"),
        (Job("libc6:i386"), "libc6:i386"),
        (Job("nano", remove=True), "nano-"),
        (Job("g++", remove=True), "g++-"),
    ],
)
def test_a_job_is_told_to_apt_as_apt_reads_it(job: Job, argument: str) -> None:
    assert job.argument == argument


def test_a_job_is_done_when_the_host_is_as_it_says(found: Packages) -> None:
    assert done(found, Job("apt"))
    assert done(found, Job("nano", remove=True))
    assert done(found, Job("awk"))
    assert not done(found, Job("apt", version="9"))
    assert not done(found, Job("tree", remove=True))


def test_policy_tells_versions_of_real_packages_and_none_of_virtual_ones() -> None:
    known = versions((HERE / "apt-cache-policy.txt").read_text())
    assert known["nginx"] == {"1.22.1-9+deb12u9"}
    assert known["libc6:i386"] == {"2.36-9+deb12u14"}
    assert known["mail-transport-agent"] == frozenset()
    assert "nosuchthing" not in known


def test_output_of_nothing_is_nothing() -> None:
    assert parsed("") == Packages()
    assert versions("") == {}
