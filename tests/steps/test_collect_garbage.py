"""collect_garbage: other repositories' files stay while a commit that the host may need pins them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.commit import TrustedCommit
from agent.domain.memory import Applied, State
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.state import Memory
from agent.steps.collect_garbage import collect_garbage
from agent.system.git import Access, Mirror
from tests.gitserver import ConfigRepo

A, B, C = "a" * 64, "b" * 64, "c" * 64
LOCK = "inventories/prod/lock.yaml"


def pins(*trees: str) -> str:
    entry = '- {{url: "git+ssh://h.example/{0}", commit: "{1}", tree: "{2}"}}'
    return "version: 1\nrepositories:\n" + "\n".join(entry.format(tree[0], "0" * 40, tree) for tree in trees)


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "config")
    repo.commit("First", {LOCK: pins(A), "inventories/prod/hosts.yaml": ""})
    return repo


@pytest.fixture
def mirror(repo: ConfigRepo, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "repo.git", Access(None, None))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for tree in (A, B, C):
        (tmp_path / "store" / tree).mkdir(parents=True)
    return tmp_path / "store"


def kept(store: Path, mirror: Mirror, trusted: str, aimed: str | None, applied: str | None = None) -> list[str]:
    paths = Paths(store.parent / "host")
    paths.var.mkdir(parents=True, exist_ok=True)
    memory = Memory(paths)
    memory.keep_state(State(aimed_commit=aimed))
    memory.keep_applied(Applied(commit=applied))
    commit = TrustedCommit(trusted, "", None)
    collect_garbage(commit, memory=memory, mirror=mirror, inventory="prod", repositories=Repositories(store, None))
    return sorted(path.name for path in store.iterdir())


def test_what_any_of_the_commits_pins_is_kept_and_the_rest_goes(repo: ConfigRepo, mirror: Mirror, store: Path) -> None:
    first = repo.head
    second = repo.commit("Second", {LOCK: pins(B)})
    mirror.fetch(f"{repo.path}", "main")
    assert kept(store, mirror, second, None, first) == [A, B]
    assert kept(store, mirror, second, None, second) == [B]


def test_a_commit_without_a_lock_or_without_the_inventory_pins_nothing(
    repo: ConfigRepo, mirror: Mirror, store: Path
) -> None:
    second = repo.commit("Second", {LOCK: None})
    third = repo.commit("Third", {"inventories/prod/hosts.yaml": None})
    mirror.fetch(f"{repo.path}", "main")
    assert kept(store, mirror, second, third) == []


def test_nothing_goes_while_a_commit_cannot_be_read(repo: ConfigRepo, mirror: Mirror, store: Path) -> None:
    mirror.fetch(f"{repo.path}", "main")
    assert kept(store, mirror, repo.head, "f" * 40) == [A, B, C]
