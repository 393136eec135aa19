"""fetch: the branch that the settings name, from the remote that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.domain.commit import Accept
from agent.domain.memory import TrustRecord
from agent.errors import SourceError
from agent.steps.fetch import fetch
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo


@dataclass
class Settings:
    remote: str
    branch: str
    inventory: str = "prod"
    min_commit: str | None = None


def test_the_newest_commit_of_the_branch_is_fetched(tmp_path: Path) -> None:
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("Main")
    repo.git("checkout", "--quiet", "-b", "prod")
    prod = repo.commit("Prod")
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    assert fetch(mirror, Settings(f"{repo.path}", "prod"), TrustRecord(), lambda _: Accept()).sha == prod


def test_a_branch_that_went_away_is_said_and_the_mirror_stays(tmp_path: Path) -> None:
    repo = ConfigRepo(tmp_path / "work")
    first = repo.commit("First")
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    settings = Settings(f"{repo.path}", "main")
    fetch(mirror, settings, TrustRecord(), lambda _: Accept())
    repo.git("branch", "-m", "main", "other")
    with pytest.raises(SourceError, match="no branch main"):
        fetch(mirror, settings, TrustRecord(), lambda _: Accept())
    assert mirror.has(first)
