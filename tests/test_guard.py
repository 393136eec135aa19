"""The guard of the tests, tested: nothing that follows may reach the machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard import Guard, Trespass

OUTSIDE = Path("/etc/hostwright-was-here")


@pytest.mark.parametrize(
    "trespass",
    [
        lambda: OUTSIDE.write_text("x"),
        lambda: OUTSIDE.open("a"),
        lambda: os.open(OUTSIDE, os.O_RDONLY | os.O_CREAT),
        OUTSIDE.mkdir,
        lambda: OUTSIDE.symlink_to("passwd"),
        lambda: Path("/etc/hostname").rename(OUTSIDE),
        lambda: Path("/etc/hostname").chmod(0o644),
        lambda: os.chown("/etc/hostname", 0, 0),
        lambda: Path("/etc/hostname").unlink(),
        lambda: subprocess.run(["apt-get", "--version"], check=False),
        lambda: subprocess.run(["/usr/sbin/useradd", "--help"], check=False),
    ],
)
def test_a_change_of_the_machine_is_refused_before_it_happens(trespass: Callable[[], object], guard: Guard) -> None:
    with pytest.raises(Trespass):
        trespass()
    assert guard.refused
    guard.refused.clear()
    assert not OUTSIDE.exists()


def test_a_link_out_of_the_tests_folder_is_no_way_around(tmp_path: Path, guard: Guard) -> None:
    (tmp_path / "link").symlink_to(OUTSIDE)
    with pytest.raises(Trespass):
        (tmp_path / "link").write_text("x")
    guard.refused.clear()
    assert not OUTSIDE.exists()


def test_a_refusal_that_the_code_swallowed_still_counts(guard: Guard) -> None:
    try:
        OUTSIDE.write_text("x")
    except Trespass:
        swallowed = guard.refused.copy()
    guard.refused.clear()
    assert swallowed == [f"open {OUTSIDE}"]


def test_the_tests_own_folders_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    Path("relative").write_text("x")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
    Path("/dev/null").write_text("x")
    folder = os.open(tmp_path, os.O_RDONLY)
    os.close(os.open("by-descriptor", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


def test_home_and_git_settings_are_not_those_of_the_person_who_runs_the_tests(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "config", "--list", "--show-origin"], check=True, capture_output=True, text=True
    ).stdout
    assert {line.split()[0] for line in listed.splitlines()} == {f"file:{os.environ['GIT_CONFIG_GLOBAL']}"}
    assert tmp_path.parent in Path.home().parents
