"""Which of the host's keys is for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.remotes import access_of_host

SETTINGS = Settings("git@git.example.org:config.git", "lab", "web1")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    return paths


def test_reports_go_by_the_key_of_their_own(paths: Paths) -> None:
    paths.deploy_key.touch()
    paths.status_key.touch()
    assert access_of_host(paths, SETTINGS, reporting=True).deploy_key == paths.status_key
    assert access_of_host(paths, SETTINGS).deploy_key == paths.deploy_key


def test_without_one_the_key_of_the_config_repo_is_for_reports_too(paths: Paths) -> None:
    paths.deploy_key.touch()
    assert access_of_host(paths, SETTINGS, reporting=True).deploy_key == paths.deploy_key


def test_a_key_for_reports_is_not_for_the_config_repo(paths: Paths) -> None:
    paths.status_key.touch()
    assert access_of_host(paths, SETTINGS).deploy_key is None


def test_a_link_that_leads_nowhere_is_not_as_if_there_were_no_key(paths: Paths) -> None:
    paths.deploy_key.symlink_to(paths.etc / "gone")
    assert access_of_host(paths, SETTINGS).deploy_key == paths.deploy_key
