"""Changes that stay together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.host.undo import Undo


def fail(undo: Undo) -> None:
    with pytest.raises(RuntimeError), undo:
        raise RuntimeError


def test_what_was_there_comes_back_and_what_is_new_goes(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"before")
    undo = Undo()
    undo.file(tmp_path / "old", b"after")
    undo.file(tmp_path / "old", b"and again")
    undo.file(tmp_path / "new", b"after")
    undo.folder(tmp_path / "a/folder")
    undo.file(tmp_path / "a/folder/file", b"inside")
    undo.created(tmp_path / "later")
    (tmp_path / "later").mkdir()
    fail(undo)
    assert (tmp_path / "old").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "old"]


def test_what_was_there_before_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    undo = Undo()
    undo.folder(tmp_path / "folder")
    undo.created(tmp_path / "folder")
    fail(undo)
    assert (tmp_path / "folder").is_dir()


def test_what_is_kept_stays(tmp_path: Path) -> None:
    with Undo() as undo:
        assert undo.file(tmp_path / "new", b"after")
        assert not undo.file(tmp_path / "new", b"after")
        undo.keep()
    assert (tmp_path / "new").read_bytes() == b"after"
