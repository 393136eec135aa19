"""What was fetched and is not trusted yet: read as one with the mirror, bounded, and gone when it was in vain."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import Consequence, SourceError
from agent.system import git_command, git_remote
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo, damaging_proxy, http_server, trickling_proxy
from tests.system.conftest import NOWHERE, trusting

MIB = 1024 * 1024


def size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def trusted(repo: ConfigRepo, tmp_path: Path) -> Mirror:
    """A mirror that holds and trusts the repository's first commit."""
    trusting(tmp_path / "host/repo.git", repo)
    return Mirror(tmp_path / "host/repo.git", NOWHERE)


def test_what_nobody_trusted_takes_no_room_once_it_is_taken_back(
    repo: ConfigRepo, trusted: Mirror, tmp_path: Path
) -> None:
    good, before = repo.head, size(tmp_path / "host")
    for number in range(3):
        repo.commit(f"Garbage {number}", {"garbage": os.urandom(2 * MIB)})
        trusted.fetch(f"{repo.path}", "main")
        assert size(tmp_path / "host") < before + 3 * MIB
        repo.git("reset", "--quiet", "--hard", good)
    trusted.fetch(f"{repo.path}", "main")
    assert size(tmp_path / "host") < before + 50_000
    assert trusted.tree(good).read("site.yaml") == b"- hosts: all\n"


def test_only_what_is_new_is_fetched(repo: ConfigRepo, tmp_path: Path) -> None:
    repo.commit("Large", {"large": os.urandom(MIB)})
    trusting(tmp_path / "host/repo.git", repo)
    repo.commit("Small", {"small": "x"})
    Mirror(tmp_path / "host/repo.git", NOWHERE).fetch(f"{repo.path}", "main")
    assert size(tmp_path / "host/repo.git.incoming") < 100_000


def test_what_is_refused_is_fetched_once_and_not_every_minute(
    repo: ConfigRepo, trusted: Mirror, tmp_path: Path
) -> None:
    repo.commit("Garbage", {"garbage": "x"})
    trusted.fetch(f"{repo.path}", "main")
    (pack,) = (tmp_path / "host/repo.git.incoming/objects/pack").glob("*.pack")
    before = pack.stat().st_ino
    Mirror(tmp_path / "host/repo.git", NOWHERE).fetch(f"{repo.path}", "main")
    assert pack.stat().st_ino == before


def test_what_is_trusted_stays_when_the_branch_is_taken_back(repo: ConfigRepo, trusted: Mirror, tmp_path: Path) -> None:
    first = repo.head
    second = repo.commit("Second", {"more": "x"})
    trusted.fetch(f"{repo.path}", "main")
    trusted.keep(second)
    assert not (tmp_path / "host/repo.git.incoming").exists()
    repo.git("reset", "--quiet", "--hard", first)
    trusted.fetch(f"{repo.path}", "main")
    assert Mirror(tmp_path / "host/repo.git", NOWHERE).tree(second).read("more") == b"x"


def test_more_than_a_host_takes_is_refused_leaves_nothing_and_is_not_asked_for_again(
    repo: ConfigRepo, trusted: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_remote, "FETCH_MOST", MIB)
    before = size(tmp_path / "host")
    repo.commit("Garbage", {"garbage": os.urandom(3 * MIB)})
    with pytest.raises(SourceError) as refused:
        trusted.fetch(f"{repo.path}", "main")
    assert (refused.value.kind, refused.value.consequence) == ("too-large", Consequence.STALL)
    assert size(tmp_path / "host") < before + 1000
    monkeypatch.setattr(git_remote, "fetch", lambda *_: pytest.fail("it was fetched again"))
    with pytest.raises(SourceError) as again:
        Mirror(tmp_path / "host/repo.git", NOWHERE).fetch(f"{repo.path}", "main")
    assert again.value.kind == "too-large"


def test_a_full_disk_is_the_hosts_own_fault_and_is_tried_again_at_once(
    repo: ConfigRepo, trusted: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit("Large", {"large": os.urandom(3 * MIB)})
    with monkeypatch.context() as full:
        full.setattr(git_command, "room", lambda _: MIB)
        with pytest.raises(SourceError) as refused:
            trusted.fetch(f"{repo.path}", "main")
    assert (refused.value.kind, refused.value.consequence) == ("disk-full", Consequence.RETRY)
    assert trusted.fetch(f"{repo.path}", "main").sha == repo.head


def test_a_smaller_commit_is_taken_after_one_that_was_too_large(
    repo: ConfigRepo, trusted: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_remote, "FETCH_MOST", MIB)
    good = repo.head
    repo.commit("Garbage", {"garbage": os.urandom(3 * MIB)})
    with pytest.raises(SourceError):
        trusted.fetch(f"{repo.path}", "main")
    repo.git("reset", "--quiet", "--hard", good)
    head = repo.commit("Small", {"small": "x"})
    assert trusted.fetch(f"{repo.path}", "main").sha == head


def test_a_fetch_that_breaks_off_leaves_nothing(repo: ConfigRepo, trusted: Mirror, tmp_path: Path) -> None:
    repo.commit("Second", {"data": os.urandom(MIB)})
    repo.bare(tmp_path / "served/config.git")
    before = size(tmp_path / "host")
    with (
        http_server(tmp_path / "served") as server,
        damaging_proxy(server.port, at=MIB // 2) as port,
        pytest.raises(SourceError),
    ):
        trusted.fetch(f"http://127.0.0.1:{port}/config.git", "main")
    assert size(tmp_path / "host") < before + 1000


def test_a_pack_that_trickles_is_given_up_and_leaves_nothing(repo: ConfigRepo, trusted: Mirror, tmp_path: Path) -> None:
    """Each moment something comes, so only the time of the conversation as a whole ends it."""
    repo.commit("Second", {"data": os.urandom(MIB)})
    repo.bare(tmp_path / "served/config.git")
    before = size(tmp_path / "host")
    hasty = Mirror(tmp_path / "host/repo.git", replace(NOWHERE, timeout_s=3))
    with http_server(tmp_path / "served") as server:
        with trickling_proxy(server.port, after=MIB // 2) as port, pytest.raises(SourceError) as refused:
            hasty.fetch(f"http://127.0.0.1:{port}/config.git", "main")
        assert (refused.value.kind, refused.value.consequence) == ("timeout", Consequence.RETRY)
        assert size(tmp_path / "host") < before + 1000
        assert trusted.fetch(server.url("config.git"), "main").sha == repo.head


def test_what_a_killed_fetch_left_is_gone_with_the_next(repo: ConfigRepo, trusted: Mirror, tmp_path: Path) -> None:
    left = [tmp_path / f"host/{name}/objects/pack/tmp_pack_x1" for name in ("repo.git", "repo.git.incoming")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    repo.commit("Second")
    trusted.fetch(f"{repo.path}", "main")
    assert not any(file.exists() for file in left)


@pytest.mark.parametrize("what", ["link", "file", "pipe"])
def test_whatever_lies_where_it_is_fetched_to_is_not_followed(
    repo: ConfigRepo, trusted: Mirror, tmp_path: Path, what: str
) -> None:
    incoming, other = tmp_path / "host/repo.git.incoming", tmp_path / "other"
    other.mkdir()
    make = {"link": lambda: incoming.symlink_to(other), "file": incoming.touch, "pipe": lambda: os.mkfifo(incoming)}
    make[what]()
    head = repo.commit("Second", {"more": "x"})
    assert trusted.fetch(f"{repo.path}", "main").sha == head
    trusted.keep(head)
    assert trusted.tree(head).read("more") == b"x"
    assert list(other.iterdir()) == []


def test_a_broken_mirror_takes_in_what_is_trusted_all_the_same(
    repo: ConfigRepo, trusted: Mirror, tmp_path: Path
) -> None:
    head = repo.commit("Second", {"more": "x"})
    trusted.fetch(f"{repo.path}", "main")
    (tmp_path / "host/repo.git/refs/hostwright/tip.lock").touch()
    trusted.keep(head)
    assert Mirror(tmp_path / "host/repo.git", NOWHERE).tree(head).read("more") == b"x"
