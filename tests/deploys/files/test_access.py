"""Files by which somebody gets in: they go at once when they leave Git."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.files.file import File
from agent.domain.ownership import LedgerEntry, Origin


def entry(path: Path | str, origin: Origin = Origin.CREATED) -> LedgerEntry:
    return LedgerEntry(f"file:{path}", "files", 5, origin, {} if origin is Origin.ADOPTED else None)


@pytest.fixture(params=[".ssh/authorized_keys", ".ssh/authorized_keys2"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f"{request.param}"
    file.parent.mkdir()
    file.write_text("ssh-ed25519 AAAA ann\n")
    return file


def test_a_file_that_the_agent_created_and_that_lets_somebody_in_is_taken_away(keys: Path) -> None:
    assert File().has_access(entry(keys))
    assert File().revoke(entry(keys)) == []
    assert not keys.exists()
    assert not File().has_access(entry(keys))


def test_one_that_was_there_before_is_no_access_of_ours(keys: Path) -> None:
    assert not File().has_access(entry(keys, Origin.ADOPTED))


def test_any_other_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "authorized_keys").write_text("")
    assert not File().has_access(entry(tmp_path / "authorized_keys"))
