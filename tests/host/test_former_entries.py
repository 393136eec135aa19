"""The ledger's files of version 0.1.0: taken over, kept for as long as that version may come back, and no longer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.domain.ownership import LedgerEntry, Origin, Seen
from agent.host.former_entries import FormerEntries
from agent.host.ledger import Ledger
from agent.system.database import Database

KEY = "file:/etc/app.conf"
FOUND = Seen({"type": "file", "mode": 0o640}, b"before\n")
LEFT = Seen({"type": "file", "mode": 0o644}, b"ours\n")
ENTRIES: dict[str, LedgerEntry | None] = {
    KEY: LedgerEntry(KEY, "files", 5, Origin.ADOPTED, FOUND.state, LEFT.state, settled=True),
    "package:jq": LedgerEntry("package:jq", "packages", 6, Origin.CREATED),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As an older version left it."""
    folder = tmp_path / "ledger"
    folder.mkdir(mode=0o700)
    (folder / "packages-before").write_text("git\n")
    FormerEntries(folder).write(ENTRIES, {KEY: FOUND.image})
    return folder


def all_of(folder: Path) -> tuple[dict[str, LedgerEntry], bytes | None]:
    ledger = Ledger(folder)
    return {entry.key: entry for entry in ledger.entries()}, ledger.image(KEY)


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_who_only_reads_sees_them_and_changes_nothing(folder: Path) -> None:
    before = names(folder)
    assert all_of(folder) == (ENTRIES, b"before\n")
    assert names(folder) == before


def test_they_are_taken_over_once_and_go(folder: Path) -> None:
    for _ in range(2):
        assert Ledger(folder).heal() == ()
        assert all_of(folder) == (ENTRIES, b"before\n")
        word = "kept-by-a-newer-version-in-entries.sqlite.json"
        assert names(folder) == {"entries.sqlite", "packages-before", word}


def test_while_that_version_may_come_back_they_follow_each_change(folder: Path) -> None:
    ledger = Ledger(folder)
    assert ledger.heal(on_trial=True) == ()
    ledger.record("file:/new", "files", 7, Seen({"type": "file"}, b"new\n"))
    ledger.forget("package:jq")
    ledger.settle(KEY, None)
    former = FormerEntries(folder)
    assert former.read() == all_of(folder)[0]
    assert former.read().keys() == {KEY, "file:/new"}
    assert (former.image(KEY), former.image("file:/new")) == (b"before\n", b"new\n")
    assert ledger.heal() == ()
    assert former.read() == {}
    assert all_of(folder)[0].keys() == {KEY, "file:/new"}


def test_what_that_version_did_after_it_came_back_is_newer_and_what_was_there_first_stands(folder: Path) -> None:
    Ledger(folder).heal()
    again = LedgerEntry(KEY, "web", 9, Origin.ADOPTED, {"type": "file", "mode": 0o600}, {"type": "link"}, settled=True)
    other = LedgerEntry("file:/other", "web", 9, Origin.CREATED)
    FormerEntries(folder).write({KEY: again, "file:/other": other}, {KEY: b"later\n"})
    Ledger(folder).heal()
    entries, image = all_of(folder)
    kept = entries[KEY]
    assert (kept.at, kept.before, image) == (5, FOUND.state, b"before\n")
    assert (kept.deploy, kept.left) == ("web", {"type": "link"})
    assert (entries["file:/other"], "package:jq" in entries) == (other, True)


def test_an_older_version_that_comes_back_later_finds_something_to_report_each_time(folder: Path) -> None:
    word = "kept-by-a-newer-version-in-entries.sqlite.json"
    for _ in range(2):
        assert Ledger(folder).heal() == ()
        assert "key" not in json.loads((folder / word).read_text()), "it is no entry"
        (folder / word).rename(folder / f"{word}.corrupt")  # as that version does
    assert Ledger(folder).damaged() == ()


def test_a_file_that_cannot_be_read_is_set_aside_and_never_taken_for_created(folder: Path) -> None:
    (damaged,) = (file for file in folder.glob("*.json") if b"package:jq" in file.read_bytes())
    damaged.write_text("{")
    (told,) = Ledger(folder).heal()
    assert (damaged.name in told.message, told.kind) == (True, "state-corrupt")
    assert (Ledger(folder).heal(), Ledger(folder).damaged()) == ((), (f"{damaged.name}.corrupt",))
    ledger = Ledger(folder)
    ledger.record("package:jq", "packages", 9, None)
    entry = ledger.entry("package:jq")
    assert entry is not None
    assert (entry.origin, ledger.damaged()) == (Origin.ADOPTED, ())


class CutOff(BaseException):
    """Stands for a kill."""


def cutting(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ends the process, as it were, behind a number of steps that change the disk."""
    left = [after]

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def count(*given: Any, **named: Any) -> Any:
            if left[0] == 0:
                raise CutOff
            left[0] -= 1
            return step(*given, **named)

        return count

    for owner, name in ((Path, "unlink"), (Path, "replace"), (Database, "write")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


def test_cut_off_anywhere_nothing_is_lost(folder: Path, tmp_path: Path) -> None:
    ended = False
    for steps in range(30):
        host = tmp_path / f"cut-{steps}"
        shutil.copytree(folder, host)
        with pytest.MonkeyPatch.context() as patch:
            cutting(patch, steps)
            try:
                Ledger(host).heal()
                ended = True
            except CutOff:
                pass
        assert all_of(host) == (ENTRIES, b"before\n"), f"cut off after {steps}"
        assert Ledger(host).heal() == ()
        assert all_of(host) == (ENTRIES, b"before\n")
        if ended:
            break
    assert ended
    assert steps > 4


def test_cut_off_while_both_are_written_the_files_are_what_is_newer(folder: Path, tmp_path: Path) -> None:
    Ledger(folder).heal(on_trial=True)
    ended = False
    for steps in range(30):
        host = tmp_path / f"cut-{steps}"
        shutil.copytree(folder, host)
        with pytest.MonkeyPatch.context() as patch:
            cutting(patch, steps)
            try:
                Ledger(host).settle(KEY, None)
                ended = True
            except CutOff:
                pass
        found = FormerEntries(host).read()[KEY]
        assert found.left in (LEFT.state, None)
        assert Ledger(host).entry(KEY) == found
        if ended:
            break
    assert ended
