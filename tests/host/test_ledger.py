import hashlib
import json
import os
from pathlib import Path

import pytest

from agent.domain.ownership import BOOTSTRAP, Origin, Seen, Standing, unseen
from agent.host.ledger import IMAGE_LIMIT, Ledger

KEY = "file:/etc/app.conf"
FOUND = Seen({"type": "file", "mode": 0o640}, b"before\n")
LEFT = Seen({"type": "file", "mode": 0o644}, b"ours\n")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def again(ledger):
    """What another process reads."""
    return Ledger(ledger._folder)


def files(ledger):
    return sorted(ledger._folder.iterdir())


def test_what_was_not_there_is_created(ledger):
    ledger.record(KEY, "files", 5, None)
    (entry,) = again(ledger).entries()
    assert (entry.key, entry.deploy, entry.at, entry.origin, entry.before) == (KEY, "files", 5, Origin.CREATED, None)


def test_what_was_there_is_adopted_with_its_state_and_image(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    (entry,) = again(ledger).entries()
    assert (entry.origin, entry.before) == (Origin.ADOPTED, {"type": "file", "mode": 0o640})
    assert again(ledger).image(KEY) == b"before\n"


def test_what_was_there_first_stands_whatever_changes_later(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    ledger.record(KEY, "other", 6, None)
    entry = again(ledger).entry(KEY)
    assert (entry.origin, entry.before, entry.at, entry.deploy) == (Origin.ADOPTED, FOUND.state, 5, "other")
    assert ledger.image(KEY) == b"before\n"


def test_what_a_change_leaves_is_open_until_it_is_settled_and_open_again_at_the_next(ledger):
    ledger.record(KEY, "files", 5, None)
    assert (ledger.entry(KEY).settled, ledger.entry(KEY).left) == (False, None)
    ledger.settle(KEY, LEFT)
    assert (again(ledger).entry(KEY).settled, again(ledger).entry(KEY).left) == (True, LEFT.state)
    ledger.record(KEY, "files", 6, None)
    assert not again(ledger).entry(KEY).settled


def test_that_nothing_was_left_is_something_to_know(ledger):
    ledger.record(KEY, "files", 5, None)
    ledger.settle(KEY, None)
    assert (again(ledger).entry(KEY).settled, again(ledger).entry(KEY).left) == (True, None)


def test_a_large_image_is_not_kept(ledger):
    ledger.record(KEY, "files", 5, Seen({"type": "file"}, b"x" * (IMAGE_LIMIT + 1)))
    assert (ledger.entry(KEY).origin, ledger.image(KEY)) == (Origin.ADOPTED, None)


def test_what_nobody_could_look_at_counts_as_adopted(ledger):
    ledger.record(KEY, "files", 5, unseen("Permission denied"))
    assert (ledger.entry(KEY).origin, ledger.entry(KEY).before) == (Origin.ADOPTED, {"unseen": "Permission denied"})


def test_only_root_may_read_what_was_there(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    assert [file.stat().st_mode & 0o777 for file in files(ledger)] == [0o600, 0o600]
    assert ledger._folder.stat().st_mode & 0o777 == 0o700


def test_what_leaves_git_is_released_or_orphaned_and_owned_when_it_comes_back(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    ledger.release(KEY)
    assert again(ledger).entry(KEY).standing is Standing.RELEASED
    ledger.orphan(KEY, "content")
    assert (again(ledger).entry(KEY).standing, again(ledger).entry(KEY).reason) == (Standing.ORPHANED, "content")
    ledger.own(KEY, "other")
    entry = again(ledger).entry(KEY)
    assert (entry.standing, entry.reason, entry.deploy, entry.before) == (Standing.OWNED, "", "other", FOUND.state)


def test_what_the_agent_needs_itself_stays_its_own_whoever_wants_it_too(ledger):
    ledger.record("package:git", BOOTSTRAP, 5, None)
    ledger.record("package:git", "packages", 6, None)
    ledger.own("package:git", "packages")
    assert again(ledger).entry("package:git").deploy == BOOTSTRAP


def test_what_is_forgotten_leaves_no_file(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    ledger.forget(KEY)
    assert (ledger.entries(), files(ledger)) == ((), [])
    ledger.forget(KEY)


def test_what_is_not_in_the_ledger_cannot_stand_in_it(ledger):
    for change in (ledger.release, ledger.forget):
        change(KEY)
    ledger.settle(KEY, LEFT)
    ledger.own(KEY, "files")
    assert ledger.entries() == ()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"key": "file:/etc/app.conf"}',
        b'{"key": 5, "deploy": "files", "at": 5, "origin": "created"}',
        b"[" * 5000,
    ],
)
def test_a_damaged_entry_harms_no_other_and_is_never_taken_for_created(ledger, damage):
    ledger.record(KEY, "files", 5, None)
    ledger.record("file:/other", "files", 5, None)
    ledger._file(KEY).write_bytes(damage)
    ledger = again(ledger)
    assert [entry.key for entry in ledger.entries()] == ["file:/other"]
    ledger.record(KEY, "files", 6, None)
    assert (again(ledger).entry(KEY).origin, "unseen" in again(ledger).entry(KEY).before) == (Origin.ADOPTED, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "created"},
        {"origin": "mine"},
        {"standing": "gone"},
        {"left": "x"},
        {"key": "file:/etc/passwd"},
        {"reason": 5},
    ],
)
def test_an_entry_that_does_not_add_up_is_a_damaged_one(ledger, changed):
    ledger.record(KEY, "files", 5, FOUND)
    file = ledger._file(KEY)
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    assert again(ledger).entries() == ()


def test_a_thousand_entries_are_written_together(ledger):
    with ledger.together():
        for number in range(1000):
            ledger.record(f"file:/{number}", "files", 5, FOUND)
        assert ledger.entry("file:/7") is not None
    assert len(again(ledger).entries()) == 1000
    assert again(ledger).image("file:/999") == b"before\n"


def test_of_what_was_to_be_written_together_nothing_is_left_when_it_comes_to_nothing(ledger):
    ledger.record("file:/first", "files", 5, None)
    with pytest.raises(ZeroDivisionError), ledger.together():
        ledger.record(KEY, "files", 1 // 0, FOUND)
    assert [entry.key for entry in ledger.entries()] == ["file:/first"]
    assert len(files(ledger)) == 1


def test_an_entry_that_cannot_be_written_is_an_error(ledger):
    ledger.record("file:/first", "files", 5, None)
    ledger._file(KEY).mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        ledger.record(KEY, "files", 5, None)
    assert again(ledger).entry(KEY) is None


def test_names_that_are_no_text_are_kept_too(ledger):
    key = os.fsdecode(b"file:/etc/\xff")
    ledger.record(key, "files", 5, Seen({"type": "link", "target": os.fsdecode(b"\xfe")}))
    assert again(ledger).entry(key).before["target"] == os.fsdecode(b"\xfe")


def test_when_it_is_cut_off_while_forgetting_no_image_is_left_without_its_entry(ledger, monkeypatch):
    ledger.record(KEY, "files", 5, FOUND)
    unlinked = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda file, **more: (unlinked.append(file.suffix), unlink(file, **more)))
    ledger.forget(KEY)
    assert unlinked == [".before", ".json"]


def test_an_image_of_something_earlier_is_never_taken_for_its_own(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    image = ledger._file(KEY).with_suffix(".before")
    ledger._file(KEY).unlink()
    again(ledger).record(KEY, "files", 6, Seen({"type": "file"}))
    assert again(ledger).image(KEY) is None
    assert not image.exists()


def test_an_image_that_is_not_what_was_there_is_none(ledger):
    ledger.record(KEY, "files", 5, Seen({"sha256": hashlib.sha256(b"before\n").hexdigest()}, b"before\n"))
    assert ledger.image(KEY) == b"before\n"
    ledger._file(KEY).with_suffix(".before").write_bytes(b"other\n")
    assert ledger.image(KEY) is None


def test_what_was_created_has_no_image(ledger):
    ledger.record(KEY, "files", 5, None)
    ledger._file(KEY).with_suffix(".before").write_bytes(b"other\n")
    assert ledger.image(KEY) is None


@pytest.mark.parametrize("let_go", ["release", "orphan"])
def test_what_was_let_go_begins_anew_unless_it_is_as_the_agent_left_it(ledger, let_go):
    ledger.record(KEY, "files", 5, FOUND)
    ledger.settle(KEY, LEFT)
    ledger.release(KEY) if let_go == "release" else ledger.orphan(KEY, "content")
    ledger.record(KEY, "other", 6, LEFT)
    entry = again(ledger).entry(KEY)
    assert (entry.before, entry.standing, entry.reason, entry.at) == (FOUND.state, Standing.OWNED, "", 5)

    ledger.settle(KEY, LEFT)
    ledger.release(KEY) if let_go == "release" else ledger.orphan(KEY, "content")
    ledger.record(KEY, "other", 7, Seen({"type": "file", "mode": 0o600}, b"precious\n"))
    entry = again(ledger).entry(KEY)
    assert (entry.before, entry.standing, entry.at) == ({"type": "file", "mode": 0o600}, Standing.OWNED, 7)
    assert again(ledger).image(KEY) == b"precious\n"


def test_why_something_could_not_be_removed_is_kept_until_it_is_wanted_again(ledger):
    ledger.record(KEY, "files", 5, None)
    ledger.refuse(KEY, "it is busy")
    assert (again(ledger).entry(KEY).standing, again(ledger).entry(KEY).reason) == (Standing.OWNED, "it is busy")
    ledger.own(KEY, "files")
    assert again(ledger).entry(KEY).reason == ""


def test_an_entry_of_an_older_version_lacks_what_came_later(ledger):
    ledger.record(KEY, "files", 5, None)
    file = ledger._file(KEY)
    data = json.loads(file.read_text())
    file.write_text(json.dumps({name: data[name] for name in ("key", "deploy", "at", "origin", "before")}))
    assert again(ledger).entry(KEY) == ledger.entry(KEY)


def test_what_is_damaged_is_counted(ledger):
    ledger.record(KEY, "files", 5, None)
    ledger.record("file:/other", "files", 5, None)
    assert ledger.damaged() == ()
    ledger._file(KEY).write_text("{")
    assert again(ledger).damaged() == (ledger._file(KEY).name,)
