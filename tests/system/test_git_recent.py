"""The objects that each cycle asks for are read without git, and only as what they are called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.system.git_command import Access
from agent.system.git_objects import RECENT_BYTES, RECENT_MOST, RecentObjects
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were started."""
    programs: list[str] = []
    start = subprocess.Popen.__init__

    def note(self: object, argv: list[str], *arguments: object, **options: object) -> None:
        programs.append(" ".join(argv))
        start(self, argv, *arguments, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    return programs


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("Begin", {"inventories/prod/trusted_signers": "ann\n"})
    return repo


def mirror(repo: ConfigRepo, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "repo.git", Access(None, None))


def asked(mirror: Mirror, sha: str) -> bytes:
    """What a cycle without news asks of its mirror."""
    assert mirror.descends(sha, sha)
    assert mirror.commit(sha).subject == "Begin"
    return mirror.tree(sha).read("inventories/prod/trusted_signers")


def test_what_the_last_cycle_asked_for_is_read_without_git(
    repo: ConfigRepo, tmp_path: Path, started: list[str]
) -> None:
    first, head = mirror(repo, tmp_path), repo.head
    first.fetch(f"{repo.path}", "main")
    first.keep(head)
    asked(first, head)
    first.keep_recent()
    first.close()
    started.clear()
    assert asked(mirror(repo, tmp_path), head) == b"ann\n"
    assert started == []


def test_an_object_that_is_not_what_it_is_called_is_read_from_the_repository(repo: ConfigRepo, tmp_path: Path) -> None:
    first = mirror(repo, tmp_path)
    first.fetch(f"{repo.path}", "main")
    first.keep(repo.head)
    asked(first, repo.head)
    first.keep_recent()
    first.close()
    for file in (tmp_path / "repo.git/recent").iterdir():
        file.write_bytes(file.read_bytes().replace(b"ann", b"eve"))
    again = mirror(repo, tmp_path)
    assert asked(again, repo.head) == b"ann\n"
    again.close()


def test_whoever_asks_for_much_leaves_what_is_there_as_it_is(tmp_path: Path) -> None:
    few, many, large = (RecentObjects(tmp_path / "recent") for _ in range(3))
    few.asked("a" * 40, "blob", b"x")
    few.keep()
    for number in range(RECENT_MOST + 1):
        many.asked(f"{number:040}", "blob", b"x")
    many.keep()
    large.asked("b" * 40, "blob", b"x" * (RECENT_BYTES + 1))
    large.keep()
    assert [file.name for file in (tmp_path / "recent").iterdir()] == ["a" * 40]


def test_what_nobody_asks_for_any_more_goes(tmp_path: Path) -> None:
    for sha in ("a" * 40, "b" * 40):
        objects = RecentObjects(tmp_path / "recent")
        objects.asked(sha, "blob", b"x")
        objects.keep()
    assert [file.name for file in (tmp_path / "recent").iterdir()] == ["b" * 40]
