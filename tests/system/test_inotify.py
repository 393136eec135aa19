"""Folders that are watched: whatever changes in one is told, and nothing else."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.system.inotify import FolderWatch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[FolderWatch]:
    watch = FolderWatch()
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched/file").write_text("x")
    watch.add([os.fsencode(tmp_path / "watched"), os.fsencode(tmp_path / "missing")])
    yield watch
    watch.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "file").write_text("y"),
        lambda folder: (folder / "file").chmod(0o600),
        lambda folder: os.utime(folder / "file"),
        lambda folder: (folder / "file").unlink(),
        lambda folder: (folder / "new").touch(),
        lambda folder: (folder / "file").rename(folder.parent / "elsewhere"),
        lambda folder: folder.chmod(0o700),
        lambda folder: folder.rename(folder.parent / "moved"),
    ],
    ids=["content", "mode", "times", "deleted", "new", "moved", "folder-mode", "folder-moved"],
)
def test_a_change_in_a_watched_folder_is_told_once(
    watch: FolderWatch, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    assert not watch.drain()
    change(tmp_path / "watched")
    assert select.select([watch], [], [], 5)[0]
    assert watch.drain()
    assert not watch.drain()


def test_a_change_elsewhere_is_not_told(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "beside").touch()
    assert not watch.drain()


def test_who_changes_something_all_the_time_has_it_read_no_longer(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = os.read, []

    def changed_again(descriptor: int, size: int) -> bytes:
        reads.append(descriptor)
        assert len(reads) < 1000, "it reads without end"
        (tmp_path / "watched/file").chmod(0o600)
        return read(descriptor, size)

    monkeypatch.setattr("agent.system.inotify.os.read", changed_again)
    assert watch.drain()
