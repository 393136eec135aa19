"""An export is what the commit holds, byte for byte; it is read again only when anything in it was touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.domain.commit import TrustedCommit
from agent.host import believed
from agent.host.exports import Exports
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo

FILES = {"deploys/a.py": "a = 1\n", "deploys/sub/b.txt": "b\n"}


@pytest.fixture
def commit(tmp_path: Path) -> TrustedCommit:
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("Begin", FILES)
    return TrustedCommit(repo.head, "Begin", None)


@pytest.fixture
def mirror(tmp_path: Path, commit: TrustedCommit) -> Mirror:
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    mirror.fetch(f"{tmp_path / 'work'}", "main")
    mirror.keep(commit.sha)
    return mirror


@pytest.fixture
def settled(tmp_path: Path, mirror: Mirror, commit: TrustedCommit, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export that has stood unchanged long enough to be known by its signature."""
    monkeypatch.setattr(believed, "RACY_NS", 0)
    for _ in range(2):
        folder = Exports(tmp_path / "commits", mirror).folder(commit)
    assert folder.with_name(f"{commit.sha}.seen").is_file()
    return folder


def rewrite(file: Path) -> None:
    """Another content of the same length, with the time put back."""
    before = file.stat()
    file.write_text("a = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


TOUCHED: dict[str, Callable[[Path], object]] = {
    "another content with the time put back": lambda folder: rewrite(folder / "deploys/a.py"),
    "a file more": lambda folder: (folder / "deploys/c.py").write_text("c\n"),
    "a file less": lambda folder: (folder / "deploys/a.py").unlink(),
    "a link in its place": lambda folder: (
        (folder / "deploys/a.py").unlink(),
        (folder / "deploys/a.py").symlink_to("sub/b.txt"),
    ),
    "a file replaced": lambda folder: (folder / "deploys/sub/b.txt").replace(folder / "deploys/a.py"),
}


@pytest.mark.parametrize("touch", TOUCHED.values(), ids=TOUCHED.keys())
def test_what_is_not_what_the_commit_holds_is_exported_anew(
    tmp_path: Path, mirror: Mirror, commit: TrustedCommit, settled: Path, touch: Callable[[Path], object]
) -> None:
    for folder in (settled, settled / "deploys", settled / "deploys/sub"):
        folder.chmod(0o755)
    (settled / "deploys/a.py").chmod(0o644)
    touch(settled)
    folder = Exports(tmp_path / "commits", mirror).folder(commit)
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert sorted(path.name for path in (folder / "deploys").iterdir()) == ["a.py", "sub"]
    assert not (folder / "deploys/a.py").is_symlink()


def test_an_export_that_nobody_touched_is_not_read_again(
    tmp_path: Path, mirror: Mirror, commit: TrustedCommit, settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mirror, "tree", lambda *_: pytest.fail("its commit is read"))
    assert Exports(tmp_path / "commits", mirror).folder(commit) == settled


def test_an_export_that_was_written_a_moment_ago_is_read(tmp_path: Path, mirror: Mirror, commit: TrustedCommit) -> None:
    for _ in range(2):
        folder = Exports(tmp_path / "commits", mirror).folder(commit)
    assert not folder.with_name(f"{commit.sha}.seen").exists()


def test_a_plan_uses_the_export_that_is_there_and_no_cycle_collects_it_meanwhile(
    tmp_path: Path, mirror: Mirror, commit: TrustedCommit, settled: Path
) -> None:
    planning = Exports(tmp_path / "commits", mirror, scratch=tmp_path / "scratch")
    assert planning.folder(commit) == settled
    Exports(tmp_path / "commits", mirror).collect(frozenset())
    assert settled.is_dir()


def test_a_plan_believes_no_export_that_was_touched_and_makes_one_of_its_own(
    tmp_path: Path, mirror: Mirror, commit: TrustedCommit, settled: Path
) -> None:
    (settled / "deploys/a.py").chmod(0o644)
    rewrite(settled / "deploys/a.py")
    planning = Exports(tmp_path / "commits", mirror, scratch=tmp_path / "scratch")
    assert (planning.folder(commit) / "deploys/a.py").read_text() == FILES["deploys/a.py"]
    assert (settled / "deploys/a.py").read_text() == "a = 2\n"


def test_what_nobody_needs_goes_with_its_signature(tmp_path: Path, mirror: Mirror, settled: Path) -> None:
    Exports(tmp_path / "commits", mirror).collect(frozenset())
    assert list((tmp_path / "commits").iterdir()) == []
