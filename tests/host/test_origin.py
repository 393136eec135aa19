"""A person's clone becomes the host's own remote: commits only, forward only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import Consequence, SettingsError, SourceError
from agent.host import origin
from agent.system.files import discard
from agent.system.git_command import Access
from agent.system.mirror import Mirror

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


def unreadable(remote: Path) -> None:
    for pack in remote.glob("objects/pack/*"):
        pack.chmod(0o600)
        pack.write_bytes(b"PACK")


def garbage(remote: Path) -> None:
    discard(remote)
    remote.mkdir()
    (remote / "HEAD").write_bytes(bytes(64))


def dangling(remote: Path) -> None:
    discard(remote)
    remote.symlink_to("/nowhere/at/all")


@pytest.fixture
def copy(clone: Path, remote: Path, tmp_path: Path) -> Iterator[Mirror]:
    """The host's own, of its remote as it is now."""
    origin.take_up(origin.inspect(clone), remote)
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    mirror.keep(mirror.fetch(f"{remote}", "main").sha)
    yield mirror
    mirror.close()


@pytest.mark.parametrize("ruin", [discard, dangling, garbage, unreadable])
def test_a_remote_of_its_own_that_is_ruined_is_made_again_from_the_copy(
    clone: Path, remote: Path, copy: Mirror, ruin: Callable[[Path], None]
) -> None:
    head = git(clone, "rev-parse", "HEAD")
    ruin(remote)
    told = origin.mend(remote, copy, "main")
    assert told is not None
    assert (told.kind, told.consequence, head[:12] in told.hint) == ("state-corrupt", Consequence.RETRY, True)
    assert (remote.is_symlink(), git(remote, "rev-parse", "main")) == (False, head)
    assert git(remote, "fsck", "--strict") == ""
    git(clone, "push", "-q", f"{remote}", "HEAD:main")
    assert origin.mend(remote, copy, "main") is None


def test_a_branch_that_somebody_deleted_is_not_brought_back(clone: Path, remote: Path, copy: Mirror) -> None:
    git(remote, "update-ref", "-d", "refs/heads/main")
    assert origin.mend(remote, copy, "main") is None
    assert git(remote, "for-each-ref") == ""


def test_without_a_copy_it_is_left_as_it_is(remote: Path, tmp_path: Path) -> None:
    remote.mkdir()
    (remote / "rubbish").write_text("x")
    assert origin.mend(remote, Mirror(tmp_path / "repo.git", Access(None, None)), "main") is None
    assert (remote / "rubbish").exists()
