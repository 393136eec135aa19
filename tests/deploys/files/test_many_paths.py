"""Many paths looked at or removed, as each alone and with fewer steps on the way."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agent.domain.ownership import Seen
from agent.errors import DeployError
from agent.system.safe_open import UnsafePath, folder
from tests.deploys.files.test_kinds import kind_of, look, remove


def test_many_are_looked_at_as_each_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("folder")
    names = [
        f"{tmp_path}/{name}" for name in ("file", "folder", "link", "none", "none/x", "link/x", "file/x", "a/../b")
    ]
    alone = []
    for name in names:
        try:
            alone.append(look(f"file:{name}"))
        except DeployError as error:
            alone.append(error)
    together = list(kind_of("file:").look_each(names))
    assert [f"{each}" for each in together] == [f"{each}" for each in alone]
    assert isinstance(together[-1], UnsafePath)


def test_files_of_a_folder_are_looked_at_by_one_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{tmp_path}/{number}" for number in range(20)]
    for name in names:
        Path(name).write_text(name)
    opened: list[str] = []

    def counting(start: int | None, path: str, *, root_links: bool) -> AbstractContextManager[int]:
        opened.append(path)
        return folder(start, path, root_links=root_links)

    monkeypatch.setattr("agent.deploys.place.folder", counting)
    assert all(isinstance(seen, Seen) for seen in kind_of("file:").look_each(names))
    assert len(opened) == 2  # the root, and the folder from there


def test_what_is_removed_together_is_synced_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    keys = [f"file:{tmp_path}/folder/{number}" for number in range(20)]
    for key in keys:
        Path(key.partition(":")[2]).touch()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    assert remove(f"directory:{tmp_path}/folder", *keys, f"file:{tmp_path}/folder/gone") == {}
    assert not (tmp_path / "folder").exists()
    assert len(synced) == 2  # the folder, and the one that it was in
