"""Dotfiles in a Git repository of their own, at its pin: real Git, real pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.tree import carry_out, survey
from agent.domain.address import Address
from agent.domain.pins import Pins, RepositoryPin
from agent.domain.tree import Tree
from agent.errors import InventoryError, SourceError
from agent.host.repositories import Repositories
from agent.system.git_command import Access
from tests.deploys.commit import Commit, snapshot
from tests.deploys.dotfiles import samples
from tests.deploys.dotfiles.home import items
from tests.deploys.trees import base_at
from tests.gitserver import ConfigRepo


class Pinned(Commit):
    """A commit of the config repo whose lock.yaml pins the repository as it is now."""

    def __init__(self, folder: Path, repo: ConfigRepo) -> None:
        super().__init__(folder / "commit", {}, owner="Ann")
        self.address = f"git+file://{repo.path}@main"
        self.store = folder / "store"
        self._repositories = Repositories(self.store, Access(known_hosts=None, deploy_key=None, timeout_s=30))
        self.lock()

    def lock(self) -> None:
        pin = self._repositories.pin(Address.parse(self.address))
        self.pins = Pins(repositories={pin.address.pinned: pin})

    def repository(self, pin: RepositoryPin) -> Tree:
        return self._repositories.tree(pin)


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "dotfiles")
    for path, file in samples.PLAIN.items():
        kind, content = file if isinstance(file, tuple) else ("file", file)
        target = repo.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            target.symlink_to(content)  # type: ignore[arg-type]
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            target.chmod(0o755 if kind == "executable" else 0o644)
    repo.commit("First")
    return repo


def lay(home: Path, commit: Pinned, **ways: object) -> dict[str, tuple[str, int, object]]:
    home.mkdir(exist_ok=True)
    wanted = items(commit, {"repo": commit.address, "templates": True, **ways})
    base = base_at(home)
    with base.opened() as start:
        for step in survey(base, wanted, commit.root, commit.store):
            carry_out(base, start, step.item, step.content)
    assert survey(base, wanted, commit.root, commit.store) == []
    return snapshot(home)


def test_a_repository_is_laid_as_it_was_when_it_was_pinned(tmp_path: Path, repo: ConfigRepo) -> None:
    commit = Pinned(tmp_path, repo)
    repo.commit("Later", {".bashrc": "later\n", ".new": "x\n"})
    assert lay(tmp_path / "home", commit) == samples.HOME
    commit.lock()
    found = lay(tmp_path / "home", commit)
    assert found[".bashrc"][2] == b"later\n"
    assert ".new" in found


def test_a_part_of_a_repository_is_taken(tmp_path: Path, repo: ConfigRepo) -> None:
    commit = Pinned(tmp_path, repo)
    assert sorted(lay(tmp_path / "home", commit, repo=f"{commit.address}//.config/nvim")) == [
        "init.lua",
        "lua",
        "lua/tasten größe.lua",
    ]
    with pytest.raises(InventoryError, match=r"there are no files in git.*//nowhere"):
        items(commit, {"repo": f"{commit.address}//nowhere"})


@pytest.mark.parametrize("target", ["/etc", "../../../etc"])
def test_a_link_of_a_repository_that_leads_out_is_made_as_it_is_and_not_followed(
    tmp_path: Path, repo: ConfigRepo, target: str
) -> None:
    (repo.path / ".config/nvim/out").symlink_to(target)
    repo.commit("A link out")
    found = lay(tmp_path / "home", Pinned(tmp_path, repo))
    assert found[".config/nvim/out"][2] == target
    assert [path for path in found if path.startswith(".config/nvim/out/")] == []


@pytest.mark.parametrize("name", ["..", ".git", "a/b"])
def test_a_repository_with_a_name_that_leads_out_is_never_written_anywhere(
    tmp_path: Path, repo: ConfigRepo, name: str
) -> None:
    repo.plumb(repo.tree(("100644", repo.blob(b"x"), name)))
    with pytest.raises(SourceError):
        Pinned(tmp_path, repo)
