"""Corrections of a tree are made together: one sync for the content of all new files, one for the folders."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from agent.deploys import batch, tree
from agent.deploys.correction import Correction
from agent.deploys.items import Item
from agent.errors import DeployError
from tests.deploys.trees import absent, directory, edit_line, file, link

ROOT = Path("/nowhere")


def corrections(*items: Item) -> list[Correction]:
    found = tree.item_corrections(items, ROOT)
    for each in found:
        each.allowed = True
    return found


def run_all(found: list[Correction]) -> list[str]:
    """Runs all; the keys of those that failed."""
    failed = []
    for each in found:
        try:
            each.run()
        except (DeployError, OSError):
            failed.append(each.change.resource)
    return failed


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often which sync was called."""
    counts = {"fsync": 0, "syncfs": 0}

    def counted(name: str, call: Any) -> Any:
        def count(descriptor: int) -> None:
            counts[name] += 1
            call(descriptor)

        return count

    monkeypatch.setattr(os, "fsync", counted("fsync", os.fsync))
    monkeypatch.setattr(batch, "sync_file_system", counted("syncfs", batch.sync_file_system))
    return counts


def test_many_files_are_in_place_after_two_syncs(tmp_path: Path, syncs: dict[str, int]) -> None:
    wanted = [directory(tmp_path / f"{folder}") for folder in range(20)]
    wanted += [file(tmp_path / f"{folder}/{name}", f"{folder} {name}") for folder in range(20) for name in range(20)]
    wanted += [link(tmp_path / f"link{number}", "0/0") for number in range(20)]
    assert run_all(corrections(*wanted)) == []
    assert corrections(*wanted) == []
    assert syncs == {"fsync": 21, "syncfs": 1}
    assert list(tmp_path.rglob(".hostwright-*")) == []


def test_a_few_are_synced_one_by_one(tmp_path: Path, syncs: dict[str, int]) -> None:
    assert run_all(corrections(*(file(tmp_path / f"{name}", "x") for name in range(5)))) == []
    assert syncs == {"fsync": 5 + 1, "syncfs": 0}


@pytest.mark.parametrize("of", ["files", "folders"])
def test_more_attributes_are_set_than_files_may_be_open(tmp_path: Path, syncs: dict[str, int], of: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = [file(tmp_path / f"{n}") if of == "files" else directory(tmp_path / f"{n}", 0o755) for n in range(300)]
    if of == "files":
        assert run_all(corrections(*wanted)) == []
        for path in tmp_path.iterdir():
            path.chmod(0o600)
        syncs.update(syncfs=0)
    found = corrections(*wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 200, hard))
    try:
        assert run_all(found) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (corrections(*wanted), syncs["syncfs"]) == ([], 1)


def test_only_those_that_may_be_made_are_made(tmp_path: Path) -> None:
    first, second, third = corrections(*(file(tmp_path / name, "x") for name in "abc"))
    second.allowed = False
    first.run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]
    assert (third.is_done(), second.is_done()) == (True, False)


def test_one_that_fails_is_told_apart(tmp_path: Path) -> None:
    found = corrections(*(file(tmp_path / name, "x") for name in "abc"))
    (tmp_path / "b/full").mkdir(parents=True)
    assert run_all(found) == [f"file:{tmp_path}/b"]
    assert [each.error for each in found] == ["", found[1].error, ""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_one_whose_name_cannot_be_taken_at_the_end_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = corrections(*(file(tmp_path / name, "x") for name in "abc"))
    rename = os.rename

    def failing(source: str, target: str, **where: int) -> None:
        if target == "b":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", failing)
    assert run_all(found) == [f"file:{tmp_path}/b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


@pytest.mark.parametrize("number", [3, 100])
def test_where_their_content_does_not_get_to_the_disk_none_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "0").write_text("old")
    found = corrections(*(file(tmp_path / f"{name}", "x") for name in range(number)))

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    monkeypatch.setattr(batch, "sync_file_system", failing)
    assert len(run_all(found)) == number
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert (tmp_path / "0").read_text() == "old"


def test_no_name_is_given_before_all_content_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        seen.append({path.name for path in tmp_path.iterdir() if not path.name.startswith(".")})
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    assert run_all(corrections(*(file(tmp_path / name, "x") for name in "abc"))) == []
    assert seen == [set(), set(), set(), {"a", "b", "c"}]


def test_two_parts_of_a_file_are_both_in_it(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a\n")
    assert run_all(corrections(edit_line(tmp_path / "list", "b"), edit_line(tmp_path / "list", "c"))) == []
    assert (tmp_path / "list").read_text() == "a\nb\nc\n"


def test_a_program_that_is_asked_about_a_file_finds_those_before_it_in_place(tmp_path: Path) -> None:
    asked = file(tmp_path / "b", "x", validate=("/bin/sh", "-c", f'cat {tmp_path}/a "$1"', "-", "%s"))
    assert run_all(corrections(file(tmp_path / "a", "x"), asked)) == []
    assert (tmp_path / "b").exists()


def test_a_folder_in_place_of_a_file_has_what_is_wanted_in_it(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file")
    wanted = (directory(tmp_path / "app", 0o755), file(tmp_path / "app/conf", "x"), file(tmp_path / "z", "x"))
    found = corrections(*wanted)
    assert run_all(found) == []
    assert ((tmp_path / "app/conf").read_text(), corrections(*wanted)) == ("x", [])


def test_what_is_to_go_goes_in_the_same_batch(tmp_path: Path, syncs: dict[str, int]) -> None:
    (tmp_path / "old").write_text("x")
    assert run_all(corrections(file(tmp_path / "new", "x"), absent(tmp_path / "old"))) == []
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert syncs == {"fsync": 2, "syncfs": 0}


def test_what_an_earlier_run_left_under_a_temporary_name_goes_and_ours_stays(tmp_path: Path) -> None:
    (tmp_path / ".hostwright-0123456789abcdef").write_text("of one that was killed")
    backed_up = file(tmp_path / "b", "new", backup=True)
    (tmp_path / "b").write_text("old")
    assert run_all(corrections(file(tmp_path / "a", "x"), backed_up, file(tmp_path / "c", "x"))) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "b.before-hostwright", "c"]
