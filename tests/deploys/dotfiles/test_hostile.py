"""Homes and repositories that mean harm: nothing outside of the home changes, and nothing waits."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.as_user import LocalUser, as_user
from agent.deploys.tree import carry_out
from agent.errors import DeployError
from tests.deploys.commit import Commit, snapshot
from tests.deploys.dotfiles.home import STABLE, items, lay, plan, told
from tests.deploys.trees import base_at

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes, which only root may")
ways = pytest.mark.parametrize("mode", ["copy", "link"])

SOON_S = 60
"""Everything here takes milliseconds, unless it waits."""

pytestmark = pytest.mark.timeout(SOON_S)


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    files = {"dotfiles/a/.bashrc": "wanted\n", "dotfiles/a/.config/app/conf": "wanted\n", "dotfiles/a/.vimrc": "x\n"}
    return Commit(tmp_path / "commit", files)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix, open_folder(path.parent) as folder:
        unix.bind(f"/proc/self/fd/{folder}/{path.name}")  # a whole path can be longer than an address may be


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_PATH)
    try:
        yield folder
    finally:
        os.close(folder)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a socket": bind,
}


@ways
@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("path", [".bashrc", ".config", f"{STABLE}/dotfiles/a/.vimrc"])
def test_what_is_no_file_is_in_the_way_and_is_not_waited_for(
    tmp_path: Path, commit: Commit, mode: str, what: str, path: str
) -> None:
    home = tmp_path / "home"
    (home / path).parent.mkdir(parents=True)
    SPECIAL[what](home / path)
    wanted = items(commit, {"sets": ["a"], "mode": mode})
    if path in {item.path for item in wanted}:
        assert told(home, commit, wanted)[path].startswith(f"{what} is in the way")
    base = base_at(home)
    with base.opened() as start:
        for step in plan(home, commit, wanted):
            with suppress(DeployError):
                carry_out(base, start, step.item, step.content)
    assert snapshot(home)[path][0] == "other"
    assert (home / ".vimrc").is_symlink() is (mode == "link")


@as_root
@ways
def test_a_device_in_the_way_is_neither_read_nor_replaced(tmp_path: Path, commit: Commit, mode: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.mknod(home / ".bashrc", 0o020666, os.makedev(1, 5))  # /dev/zero, which never ends
    operations = told(home, commit, items(commit, {"sets": ["a"], "mode": mode}))
    assert operations[".bashrc"].startswith("a device is in the way")


@ways
@pytest.mark.parametrize("link", [".config", ".local", ".local/share", STABLE, f"{STABLE}/dotfiles"])
def test_no_link_in_the_home_leads_the_agent_out(tmp_path: Path, commit: Commit, mode: str, link: str) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    outside.mkdir()
    (outside / "app").mkdir()
    (home / link).parent.mkdir(parents=True)
    (home / link).symlink_to(outside)
    before = snapshot(outside)
    wanted = items(commit, {"sets": ["a"], "mode": mode})
    base = base_at(home)
    with base.opened() as start:
        for step in plan(home, commit, wanted):
            with suppress(DeployError):
                carry_out(base, start, step.item, step.content)
    assert snapshot(outside) == before
    assert (home / link).is_symlink()


@ways
def test_a_link_swapped_in_at_any_moment_does_not_lead_out(tmp_path: Path, commit: Commit, mode: str) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (outside / "app").mkdir(parents=True)
    (home / ".config/app").mkdir(parents=True)
    (home / "link").symlink_to(outside)
    wanted = items(commit, {"sets": ["a"], "mode": mode})
    base = base_at(home)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for old, new in ((".config", "real"), ("link", ".config"), (".config", "link"), ("real", ".config")):
                with suppress(OSError):
                    (home / old).rename(home / new)

    swapper = threading.Thread(target=swap, daemon=True)
    swapper.start()
    try:
        for _ in range(60):
            with suppress(DeployError), base.opened() as start:
                for step in plan(home, commit, wanted):
                    with suppress(DeployError):
                        carry_out(base, start, step.item, step.content)
    finally:
        done.set()
        swapper.join(10)
    assert snapshot(outside) == {"app": ("directory", (outside / "app").stat().st_mode & 0o7777, None)}


def test_a_link_that_a_repository_holds_is_made_and_never_followed(tmp_path: Path, commit: Commit) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    commit.put("dotfiles/b/.config", ("link", f"{outside}"))
    home = tmp_path / "home"
    lay(home, commit, {"sets": ["a", "b"]})
    assert (home / ".config").is_symlink()
    operations = told(home, commit, items(commit, {"sets": ["a"]}))
    assert operations[".config/app/conf"].startswith(".config on the way to .config/app is a link, and is not followed")
    assert snapshot(outside) == {}


def test_a_file_of_the_home_that_is_larger_than_anybody_reads_is_replaced(tmp_path: Path, commit: Commit) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with (home / ".bashrc").open("wb") as file:
        file.truncate(1 << 40)
    assert lay(home, commit, {"sets": ["a"]})[".bashrc"][2] == b"wanted\n"


def test_a_file_of_a_set_that_is_too_large_is_named(tmp_path: Path, commit: Commit) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with (tmp_path / "commit/dotfiles/a/.vimrc").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(DeployError, match=r"dotfiles/a/\.vimrc of the commit cannot be read.*larger than"):
        plan(home, commit, items(commit, {"sets": ["a"]}))
    assert snapshot(home) == {}


def test_an_export_that_somebody_changed_is_not_written(tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "commit/dotfiles/a/.bashrc").write_text("evil\n")
    (tmp_path / "home").mkdir()
    with pytest.raises(DeployError, match="is not what the commit holds"):
        plan(tmp_path / "home", commit, items(commit, {"sets": ["a"]}))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "a\nb", "x" * 4000])
def test_a_strange_target_of_a_link_is_only_a_target(tmp_path: Path, target: str) -> None:
    commit = Commit(tmp_path / "commit", {"dotfiles/a/x": ("link", target)})
    found: dict[str, Any] = lay(tmp_path / "home", commit, {"sets": ["a"]})
    assert found == {"x": ("link", 0, target)}


@as_root
def test_what_a_user_cannot_tidy_away_in_the_home_is_gone_round_and_told(tmp_path: Path, commit: Commit) -> None:
    home, name = tmp_path / "home", ".hostwright-0123456789abcdef"
    (home / name).mkdir(parents=True)
    (home / name / "x").touch()
    os.chown(home, 65534, 65534)
    base = base_at(home)
    step = next(step for step in plan(home, commit, items(commit, {"sets": ["a"]})) if step.item.path == ".vimrc")
    item = replace(step.item, owner="65534", group="65534")
    user = LocalUser("nobody", 65534, 65534, f"{home}")
    with base.opened() as start:
        told = as_user(user, partial(carry_out, base, start, item, step.content))
    assert told == f"called as if it were the agent's, and left alone: {home / name}, a directory of root"
    assert (home / ".vimrc").stat().st_uid == 65534
