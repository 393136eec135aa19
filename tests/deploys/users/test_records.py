from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.users import records


def test_what_was_given_is_remembered_by_account_and_root_alone_may_look(tmp_path: Path) -> None:
    folder = tmp_path / "memberships"
    records.remember_groups("ann", {"docker", "dev"}, folder)
    records.remember_groups("bob", {"audio"}, folder)
    assert records.given_groups("ann", folder) == {"docker", "dev"}
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "ann")] == [0o700, 0o600]


def test_what_is_given_no_more_is_forgotten(tmp_path: Path) -> None:
    records.remember_groups("ann", {"docker", "dev"}, tmp_path)
    records.remember_groups("ann", {"dev"}, tmp_path)
    assert records.given_groups("ann", tmp_path) == {"dev"}
    records.remember_groups("ann", (), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_memory_nothing_was_given(tmp_path: Path) -> None:
    records.remember_groups("ann", (), tmp_path / "none")
    assert records.given_groups("ann", tmp_path / "none") == frozenset()


def test_a_record_in_anothers_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "bob").write_text("docker\n")
    (tmp_path / "ann").symlink_to("bob")
    with pytest.raises(OSError, match="symbolic"):
        records.given_groups("ann", tmp_path)
