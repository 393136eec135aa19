"""A person's clone becomes the host's own remote: commits only, forward only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.errors import SettingsError, SourceError
from agent.host import origin

PERSON = 12345


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    (folder / name).write_text(name)
    git(folder, "add", name)
    git(folder, "commit", "-qm", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone's folder"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "one")
    return folder


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "origin.git"


def test_the_branch_that_is_checked_out_is_copied(clone: Path, remote: Path) -> None:
    git(clone, "checkout", "-qb", "stable")
    tip = commit(clone, "two")
    found = origin.inspect(clone)
    assert (found.branch, found.tip, found.uncommitted) == ("stable", tip, 0)
    assert origin.take_up(found, remote)
    assert git(remote, "for-each-ref", "--format=%(refname) %(objectname)") == f"refs/heads/stable {tip}"
    assert git(remote, "symbolic-ref", "HEAD") == "refs/heads/stable"


def test_taking_up_the_same_commit_changes_nothing(clone: Path, remote: Path) -> None:
    origin.take_up(origin.inspect(clone), remote)
    assert not origin.take_up(origin.inspect(clone), remote)


def test_a_new_commit_goes_forward(clone: Path, remote: Path) -> None:
    origin.take_up(origin.inspect(clone), remote)
    tip = commit(clone, "two")
    assert origin.take_up(origin.inspect(clone), remote)
    assert git(remote, "rev-parse", "main") == tip


def test_what_was_pushed_meanwhile_is_kept(clone: Path, remote: Path) -> None:
    origin.take_up(origin.inspect(clone), remote)
    tip = commit(clone, "two")
    git(clone, "push", "-q", str(remote), "main")
    git(clone, "reset", "-q", "--hard", "HEAD^")
    assert not origin.take_up(origin.inspect(clone), remote)
    assert git(remote, "rev-parse", "main") == tip


def test_histories_that_went_different_ways_are_left_to_the_person(clone: Path, remote: Path) -> None:
    origin.take_up(origin.inspect(clone), remote)
    pushed = commit(clone, "two")
    git(clone, "push", "-q", str(remote), "main")
    git(clone, "reset", "-q", "--hard", "HEAD^")
    commit(clone, "three")
    with pytest.raises(SettingsError, match="different ways"):
        origin.take_up(origin.inspect(clone), remote)
    assert git(remote, "rev-parse", "main") == pushed


def test_what_is_not_committed_is_counted(clone: Path) -> None:
    (clone / "one").write_text("edited")
    (clone / "new").write_text("new")
    assert origin.inspect(clone).uncommitted == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_a_clone_that_belongs_to_somebody_else_can_be_copied(clone: Path, remote: Path) -> None:
    for path in (clone, *clone.rglob("*")):
        os.chown(path, PERSON, PERSON)
    assert origin.take_up(origin.inspect(clone), remote)
    assert remote.stat().st_uid == 0


def test_the_clones_configuration_is_not_taken_over(clone: Path, remote: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    hook = clone / ".git/hooks/post-upload-pack"
    hook.parent.mkdir(exist_ok=True)
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor"):
        git(clone, "config", key, f"touch {witness}")
    origin.take_up(origin.inspect(clone), remote)
    assert not witness.exists()
    assert "fsmonitor" not in (remote / "config").read_text()


def test_an_interrupted_copy_is_made_anew(clone: Path, remote: Path) -> None:
    remote.with_name("origin.git.new").mkdir()
    assert origin.take_up(origin.inspect(clone), remote)
    assert not remote.with_name("origin.git.new").exists()


def test_a_detached_head_needs_the_name_of_a_branch(clone: Path) -> None:
    git(clone, "checkout", "-q", "--detach")
    with pytest.raises(SourceError, match="no branch checked out"):
        origin.inspect(clone)
    assert origin.inspect(clone, "main").branch == "main"


def test_a_shallow_clone_is_refused_with_the_command_that_helps(clone: Path, tmp_path: Path) -> None:
    commit(clone, "two")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{clone}", str(shallow))
    with pytest.raises(SourceError, match="shallow") as caught:
        origin.inspect(shallow)
    assert "--unshallow" in caught.value.hint


def test_a_folder_without_commits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a Git clone"):
        origin.inspect(tmp_path)
    git(tmp_path, "init", "-q")
    with pytest.raises(SourceError, match="no commit on the branch main"):
        origin.inspect(tmp_path)
