"""A small config repo, and a mirror for it, for the tests of Git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo

NOWHERE = Access(known_hosts=None, deploy_key=None, timeout_s=30)


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("First", {"site.yaml": "- hosts: all\n", "bin/run": "#!/bin/sh\n"})
    return repo


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    mirror = Mirror(tmp_path / "host/repo.git", NOWHERE)
    yield mirror
    mirror.close()


def trusting(path: Path, repo: ConfigRepo) -> None:
    """A mirror at ``path`` that holds what ``main`` is at, as a cycle leaves it."""
    mirror = Mirror(path, NOWHERE)
    mirror.keep(mirror.fetch(f"{repo.path}", "main").sha)
    mirror.close()
