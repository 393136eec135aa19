from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from agent.deploys.packages import apt, lists, refusals, transaction
from agent.deploys.packages.changes import PackageChange
from agent.deploys.packages.dpkg import Installed
from agent.errors import Consequence, DeployError

DRY_RUN = """\
Reading package lists...
The following packages will be REMOVED:
  jq libjq1 libonig5:i386
Remv jq [1.6-2.1+deb12u2] [libjq1:amd64 ]
Remv libjq1 [1.6-2.1+deb12u2]
Purg libonig5:i386 [6.9.8-1]
Inst git (1:2.39.5-0+deb12u3 Debian:12.15/oldstable [amd64])
Conf git (1:2.39.5-0+deb12u3 Debian:12.15/oldstable [amd64])
"""


def test_what_a_dry_run_removes_must_have_been_named() -> None:
    assert apt.unnamed(apt.DryRun.parsed(DRY_RUN).goes, ["libjq1"]) == ["jq", "libonig5:i386"]
    assert apt.unnamed(apt.DryRun.parsed(DRY_RUN).goes, ["libjq1", "jq:amd64", "libonig5:i386"]) == []


POSTINST = """\
Setting up hw-bad (1.0) ...
dpkg: error processing package hw-bad (--configure):
 installed hw-bad package post-installation script subprocess returned error exit status 3
Errors were encountered while processing:
 hw-bad
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
FULL = """\
dpkg: error processing archive /var/cache/apt/archives/jq_1.7_amd64.deb (--unpack):
 cannot copy extracted data for './usr/bin/jq' to '/usr/bin/jq.dpkg-new': failed to write (No space left on device)
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
UNSIGNED = """\
Err:1 http://127.0.0.1 stable InRelease
W: GPG error: http://127.0.0.1 stable InRelease: The following signatures couldn't be verified: NO_PUBKEY 98DE
E: The repository 'http://127.0.0.1 stable InRelease' is not signed.
N: Updating from such a repository can't be done securely, and is therefore disabled by default.
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (POSTINST, "installed hw-bad package post-installation script subprocess returned error exit status 3"),
        (FULL, "failed to write (No space left on device)"),
        (UNSIGNED, "NO_PUBKEY 98DE"),
    ],
)
def test_a_complaint_says_what_happened_in_one_line(output: str, said: str) -> None:
    first, *more = refusals.complaints(output)
    assert first.endswith(said)
    assert not any("Sub-process" in complaint for complaint in more)


def test_a_summary_stands_where_there_is_nothing_else() -> None:
    assert refusals.complaints("E: Sub-process /usr/bin/dpkg returned an error code (1)\n")


def test_lists_belong_to_the_file_that_names_their_repository() -> None:
    output = "/etc/apt/sources.list.d/a.sources:1|/l/a_Packages\n/etc/apt/sources.list.d/a.sources:2|/l/b_Packages\n"
    assert lists.listed_in(output) == {"/etc/apt/sources.list.d/a.sources": ["/l/a_Packages", "/l/b_Packages"]}


def test_a_hold_is_refused_until_a_person_lifts_it() -> None:
    error = transaction.refused(PackageChange("tree", version="3", found=Installed("2", complete=True, held=True)))
    assert error is not None
    assert error.consequence is Consequence.STALL
    assert "apt-mark unhold tree" in error.hint


def test_a_held_package_whose_installation_was_cut_off_is_finished() -> None:
    assert transaction.refused(PackageChange("tree", found=Installed("2", complete=False, held=True))) is None


def test_maintainer_scripts_see_proxies_and_no_reason_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("DEBIAN_FRONTEND", "dialog")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = apt.environment()
    assert environment["https_proxy"] == "http://proxy.example:3128"
    assert environment["DEBIAN_FRONTEND"] == "noninteractive"
    assert "PYTHONPATH" not in environment


def test_a_run_that_takes_too_long_is_told_with_its_own_limit() -> None:
    with pytest.raises(DeployError, match="not done after 0 s"):
        apt.require(["sleep", "60"], timeout_s=0.01)


def test_a_lock_that_is_free_is_not_kept(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    apt.wait_for(lock)
    apt.wait_for(lock)
    assert not _held_by_another(lock)


def test_a_lock_that_stays_held_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "LOCK_TIMEOUT_S", 0)
    monkeypatch.setattr(apt, "LOCK_POLL_S", 0.01)
    lock = tmp_path / "lock"
    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:
        with lock.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(writing, b"x")
            os.read(os.pipe()[0], 1)
        os._exit(0)
    try:
        os.read(reading, 1)
        with pytest.raises(DeployError, match=str(lock)):
            apt.wait_for(lock)
    finally:
        os.kill(holder, 9)
        os.waitpid(holder, 0)


def _held_by_another(lock: Path) -> bool:
    with lock.open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
