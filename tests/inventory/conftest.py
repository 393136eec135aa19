"""What the tests of inventories share: a config repo to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inventory.samples import Repo

HOSTS = """
    all:
      vars: {owner: ann}
      children:
        web: {hosts: {"web[1:3]": }}
        production: {hosts: {web1: , db1: }}
    """


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Three web hosts and a database, two of them in production; no plays."""
    repo = Repo(tmp_path / "repo")
    repo.write_all({"hosts.yaml": HOSTS, "site.yaml": "[]\n"})
    return repo
