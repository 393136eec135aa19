"""Nothing of a tree leads out of its place: links and folders on the way."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.place import SYSTEM
from agent.deploys.tree import carry_out
from agent.errors import DeployError, InventoryError
from tests.deploys.commit import snapshot
from tests.deploys.trees import as_root, base_at, converge, directory, file, link, only, plan


@as_root
def test_a_link_of_root_on_the_way_is_followed_where_root_alone_may_rename(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "deep").symlink_to(tmp_path / "lib/../lib")
    converge(directory(tmp_path / "lib"), file(tmp_path / "lib/f"), file(tmp_path / "deep/g"))
    assert {path.name for path in (tmp_path / "usr/lib").iterdir()} == {"f", "g"}
    assert (tmp_path / "lib").is_symlink()


@as_root
def test_a_link_of_root_that_a_user_renamed_into_the_way_is_refused(tmp_path: Path) -> None:
    app, opt = tmp_path / "app", tmp_path / "opt"
    wanted = file(app / "conf/app.ini", owner="65534", group="65534")
    folders = [replace(directory(path, 0o755), owner="65534", group="65534") for path in (app, app / "conf")]
    opt.mkdir()
    (opt / "app.ini").write_text("root's\n")
    converge(*folders, link(app / "current", f"{opt}"), wanted)
    (app / "conf").rename(app / "conf.bak")
    (app / "current").rename(app / "conf")
    step = next(step for step in plan(wanted))
    assert step.change.refused
    assert f"is not followed: {app} belongs to nobody" in step.change.operation
    with pytest.raises(DeployError, match="not followed"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, wanted, b"wanted\n")
    assert snapshot(opt) == {"app.ini": ("file", 0o644, b"root's\n")}
    assert (opt / "app.ini").stat().st_uid == 0


@as_root
def test_a_folder_of_root_that_a_user_renamed_is_not_given_to_him(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "private").mkdir(parents=True, mode=0o700)
    (app / "private/kept").write_text("root's\n")
    os.chown(app, 65534, 65534)
    (app / "private").rename(app / "conf")
    item = replace(directory(app / "conf", 0o755), owner="65534", group="65534")
    with pytest.raises(DeployError, match=r"is not empty and keeps its owner and mode: .* belongs to nobody"):
        converge(item)
    with pytest.raises(DeployError, match="keeps its owner and mode"):
        converge(directory(app / "conf", 0o755))
    status = (app / "conf").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o700)


@as_root
def test_a_parent_that_is_made_in_a_users_folder_is_that_users(tmp_path: Path) -> None:
    app = tmp_path / "app"
    theirs = replace(directory(app, 0o755), owner="65534", group="12345")
    steps = converge(theirs, directory(app / "a"), directory(app / "a/b"), file(app / "a/b/f"), file(app / "g"))
    assert [step.change.operation for step in steps[:3]] == ["create directory, mode 0755, owner nobody:12345"] * 3
    found = {path: path.stat() for path in (app / "a", app / "a/b", app / "a/b/f")}
    assert [(status.st_uid, status.st_gid) for status in found.values()] == [(65534, 12345), (65534, 12345), (0, 0)]
    (app / "a/b/f").unlink()
    converge(file(app / "a/b/f"))


@as_root
def test_a_link_of_somebody_else_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "theirs").symlink_to("target")
    os.lchown(tmp_path / "theirs", 65534, 65534)
    step = only(plan(file(tmp_path / "theirs/f")))
    assert f"theirs on the way to {tmp_path}/theirs is a link, and is not followed" in step.change.operation
    with pytest.raises(DeployError, match="not followed"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, step.item, b"")
    assert snapshot(tmp_path / "target") == {}


def test_no_link_is_followed_in_a_home_not_even_roots(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.config").symlink_to("../outside")
    step = only(plan(file(".config/f"), base=base_at(tmp_path / "home")))
    assert step.change.refused
    assert "not followed" in step.change.operation
    assert snapshot(tmp_path / "outside") == {}


def test_a_link_swapped_in_after_the_plan_is_not_followed(tmp_path: Path) -> None:
    home = base_at(tmp_path / "home")
    (tmp_path / "outside").mkdir()
    (tmp_path / "home/.config").mkdir(parents=True)
    step = only(plan(file(".config/f"), base=home))
    (tmp_path / "home/.config").rmdir()
    (tmp_path / "home/.config").symlink_to("../outside")
    with pytest.raises(DeployError, match="not followed"), home.opened() as start:
        carry_out(home, start, step.item, step.content)
    assert snapshot(tmp_path / "outside") == {}


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert only(plan(file(tmp_path / "a/f"))).change.refused


@pytest.mark.parametrize("path", ["../f", "a/../f", "/etc/./x", "a//b", "a/", ""])
def test_no_item_has_a_path_that_climbs(path: str) -> None:
    with pytest.raises(InventoryError):
        file(path)


def test_a_second_name_of_a_file_never_changes_hands(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("wanted\n")
    (tmp_path / "shadow").chmod(0o600)
    (tmp_path / "f").hardlink_to(tmp_path / "shadow")
    converge(file(tmp_path / "f"))
    assert stat.S_IMODE((tmp_path / "shadow").stat().st_mode) == 0o600
    assert (tmp_path / "shadow").stat().st_nlink == 1
