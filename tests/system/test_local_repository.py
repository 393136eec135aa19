"""A local remote: whatever git reads in it belongs to root, throughout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.system import local_repository
from agent.system.remote import Remote
from tests.gitserver import ConfigRepo

PERSON = 12345
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def repository(repo: ConfigRepo, tmp_path: Path) -> Path:
    bare = repo.bare(tmp_path / "served.git")
    (bare / "refs/heads/deep/er").mkdir(parents=True)
    (bare / "refs/heads/deep/er/branch").write_text(f"{repo.head}\n")
    (bare / "hooks").mkdir(exist_ok=True)
    (bare / "hooks/update").touch()
    (bare / "objects/info").mkdir(exist_ok=True)
    (bare / "objects/ab").mkdir(exist_ok=True)
    return bare


def refused(repository: Path) -> str:
    with pytest.raises(SettingsError) as error:
        Remote.parse(f"{repository}")
    assert error.value.hint
    return error.value.message


def test_one_that_is_root_s_throughout_is_taken(repository: Path) -> None:
    assert Remote.parse(f"{repository}").url == f"{repository}"


def test_what_goes_while_it_is_looked_at_is_in_nobody_s_way(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the folders of a push do: here with the first thing in them that is looked at."""
    for push in ("one", "other"):
        for name in ("aa", "bb"):
            (repository / f"objects/tmp_objdir-incoming-{push}/{name}/deep").mkdir(parents=True)
    judge, judged = local_repository.others_hand, list[Path]()

    def gone(status: os.stat_result) -> str:
        for push in (repository / "objects").glob("tmp_objdir-*"):
            if status.st_ino in [push.stat().st_ino, *(path.stat().st_ino for path in push.iterdir())]:
                judged.append(push)
        if judged and judged[-1].exists() and status.st_ino != judged[-1].stat().st_ino:
            shutil.rmtree(judged[-1])
        return judge(status)

    monkeypatch.setattr(local_repository, "others_hand", gone)
    assert Remote.parse(f"{repository}").url == f"{repository}"
    assert list((repository / "objects").glob("tmp_objdir-*")) == []


PARTS = ["HEAD", "config", "packed-refs", "refs", "refs/heads", "refs/heads/deep", "refs/heads/deep/er/branch", "hooks"]
PARTS += ["hooks/update", "objects", "objects/info", "objects/pack", "objects/ab", "info"]


@root
@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_it_may_be_somebody_else_s(repository: Path, part: str) -> None:
    os.chown(repository / part, PERSON, PERSON)
    assert f"{part} belongs to uid {PERSON}" in refused(repository)


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_it_may_be_written_to_by_others(repository: Path, part: str) -> None:
    (repository / part).chmod(0o1777)
    assert f"{part} can be written to by others (mode 1777)" in refused(repository)


@root
def test_a_pack_of_somebody_else_is_refused(repository: Path, repo: ConfigRepo) -> None:
    repo.git("-C", f"{repository}", "repack", "-adq")
    pack = next((repository / "objects/pack").glob("*.pack"))
    os.chown(pack, PERSON, PERSON)
    assert pack.name in refused(repository)


@root
def test_objects_that_it_borrows_are_root_s_too(repository: Path, repo: ConfigRepo, tmp_path: Path) -> None:
    """And those that these borrow."""
    second, third = tmp_path / "second.git", tmp_path / "third/objects"
    repo.git("clone", "--quiet", "--bare", f"{repo.path}", f"{second}")
    third.mkdir(parents=True)
    (repository / "objects/info/alternates").write_text(f"# shared\n../../{second.name}/objects\n")
    (second / "objects/info").mkdir(exist_ok=True)
    (second / "objects/info/alternates").write_text(f"{third}\n")
    assert Remote.parse(f"{repository}")
    os.chown(third, PERSON, PERSON)
    assert f"{third} belongs to uid {PERSON}" in refused(repository)


@root
@pytest.mark.parametrize("relative", [False, True])
def test_the_links_that_lead_to_it_are_root_s_too(repository: Path, tmp_path: Path, relative: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(Path("..") / repository.name if relative else repository)
    (tmp_path / "first").symlink_to(folder)
    through = tmp_path / "first/link"
    assert Remote.parse(f"{through}").url == f"{repository}"
    os.chown(folder / "link", PERSON, PERSON, follow_symlinks=False)
    assert f"{folder}/link belongs to uid {PERSON}" in refused(through)
    os.chown(folder / "link", 0, 0, follow_symlinks=False)
    folder.chmod(0o1777)
    assert Remote.parse(f"{through}").url == f"{repository}"
    folder.chmod(0o777)
    assert f"{folder} can be written to by others" in refused(through)
    folder.chmod(0o755)
    os.chown(folder, PERSON, PERSON)
    assert f"{folder} belongs to uid {PERSON}" in refused(through)


def test_a_circle_of_links_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert refused(tmp_path / "a")


@root
@pytest.mark.parametrize("part", ["HEAD", "hooks", "refs/heads/deep"])
def test_where_a_link_in_it_leads_is_root_s_too(repository: Path, tmp_path: Path, part: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (repository / part).rename(elsewhere)
    (repository / part).symlink_to(elsewhere)
    assert Remote.parse(f"{repository}")
    inside = next(elsewhere.rglob("*"), elsewhere) if elsewhere.is_dir() else elsewhere
    os.chown(inside, PERSON, PERSON)
    assert f"belongs to uid {PERSON}" in refused(repository)


@pytest.mark.parametrize("section", ["[include]\n", '[includeIf "gitdir:/"]\n', "[ Include ]\n"])
def test_a_configuration_that_includes_others_is_refused(repository: Path, section: str) -> None:
    with (repository / "config").open("a") as config:
        config.write(f"{section}\tpath = /home/mal/config\n")
    assert "includes other files" in refused(repository)


@root
def test_a_working_copy_of_its_own_is_nobody_s_business(repo: ConfigRepo) -> None:
    os.chown(repo.path / "site.yaml", PERSON, PERSON)
    assert Remote.parse(f"{repo.path}")
    os.chown(repo.path / ".git/refs/heads/main", PERSON, PERSON)
    assert "refs/heads/main belongs to" in refused(repo.path)


def test_a_linked_worktree_is_refused(repo: ConfigRepo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", f"{tmp_path}/tree")
    assert "linked worktree" in refused(tmp_path / "tree")
    assert "linked worktree" in refused(repo.path / ".git/worktrees/tree")


def test_more_files_than_can_be_looked_at_are_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_repository, "ENTRIES_MOST", 10)
    assert "more than 10 files" in refused(repository)


def test_links_in_circles_end(repository: Path) -> None:
    (repository / "refs/heads/loop").symlink_to("..")
    (repository / "objects/info/alternates").write_text(f"{repository}/objects\n")
    assert Remote.parse(f"{repository}")
