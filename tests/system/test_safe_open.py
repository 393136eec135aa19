"""The way down to a folder: links of root are followed only where nobody else could have put them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.system.safe_open import UnsafePath, folder
from tests.system import acls

MAL, ANN = 65533, 65532

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to other users, which only root may")


def reached(path: Path) -> Path:
    """The folder that the way down to ``path`` ends in."""
    with folder(None, f"{path}", root_links=True) as descriptor:
        return Path(f"/proc/self/fd/{descriptor}").readlink()


def made(path: Path, owner: int = 0, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def test_a_link_of_root_is_followed_where_root_alone_may_rename(tmp_path: Path) -> None:
    real = made(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "link/../link")
    assert reached(tmp_path / "again") == real


def test_a_link_of_root_in_a_users_folder_is_not_followed(tmp_path: Path) -> None:
    made(tmp_path / "real")
    app = made(tmp_path / "app", MAL)
    (app / "link").symlink_to("../real")
    with pytest.raises(UnsafePath, match=rf"link on the way to .* is not followed: {app} belongs to uid {MAL}"):
        reached(app / "link")


def test_a_link_of_root_in_a_sticky_folder_is_not_followed(tmp_path: Path) -> None:
    """A user can move one there from a folder of his own."""
    made(tmp_path / "real")
    shared = made(tmp_path / "shared", 0, 0o1777)
    (shared / "link").symlink_to("../real")
    with pytest.raises(UnsafePath, match="is not followed"):
        reached(shared / "link")


def test_a_folder_of_root_in_a_users_folder_is_not_entered(tmp_path: Path) -> None:
    app = made(tmp_path / "app", MAL)
    inner = made(app / "inner")
    with pytest.raises(UnsafePath) as refused:
        reached(inner)
    assert refused.value.message == (f"{inner} is not entered: {app} belongs to uid {MAL}, who may have put it there")
    assert refused.value.hint == f"give {app} to root, or {inner} and the folders in it to uid {MAL}"


def test_a_folder_of_another_user_in_a_users_folder_is_not_entered(tmp_path: Path) -> None:
    with pytest.raises(UnsafePath, match="is not entered"):
        reached(made(made(tmp_path / "app", MAL) / "inner", ANN))


def test_a_folder_of_root_two_levels_below_a_users_is_not_entered(tmp_path: Path) -> None:
    inner = made(made(made(tmp_path / "app", MAL) / "his", MAL) / "inner")
    with pytest.raises(UnsafePath, match="is not entered"):
        reached(inner)


def test_a_users_folder_and_his_own_folders_in_it_are_entered(tmp_path: Path) -> None:
    inner = made(made(made(tmp_path / "app", MAL) / "his", MAL) / "inner", MAL)
    assert reached(inner) == inner


@pytest.mark.parametrize("mode", [0o775, 0o2775, 0o757, 0o777])
@pytest.mark.parametrize("owner", [0, MAL])
def test_no_folder_is_entered_in_one_that_a_group_or_all_may_write(tmp_path: Path, mode: int, owner: int) -> None:
    shared = made(tmp_path / "shared", 0, mode)
    inner = made(shared / "inner", owner)
    with pytest.raises(UnsafePath, match=rf"{shared} can be written by a group or by all \(mode {mode:04o}\)"):
        reached(inner)
    assert reached(shared) == shared


def test_no_folder_is_entered_in_one_that_an_acl_lets_somebody_write(tmp_path: Path) -> None:
    shared = made(tmp_path / "shared")
    inner = made(shared / "inner")
    assert reached(inner) == inner
    acls.give(shared, MAL, 7)
    with pytest.raises(UnsafePath, match="can be written by a group or by all"):
        reached(inner)


def test_in_a_sticky_folder_what_root_owns_is_entered(tmp_path: Path) -> None:
    inner = made(made(tmp_path / "shared", 0, 0o1777) / "inner")
    assert reached(inner) == inner


def test_in_a_sticky_folder_of_a_user_only_his_own_is_entered(tmp_path: Path) -> None:
    shared = made(tmp_path / "shared", MAL, 0o1777)
    with pytest.raises(UnsafePath, match="is not entered"):
        reached(made(shared / "inner"))
    assert reached(made(shared / "his", MAL)) == shared / "his"


def test_the_way_through_a_link_is_judged_like_any_other(tmp_path: Path) -> None:
    made(made(tmp_path / "app", MAL) / "inner")
    (tmp_path / "link").symlink_to("app/inner")
    with pytest.raises(UnsafePath, match="is not entered"):
        reached(tmp_path / "link")
