import hashlib
import json
import os
import random
import sqlite3
from contextlib import closing

import pytest

from agent.domain.ownership import BOOTSTRAP, Origin, Seen, Standing, unseen
from agent.host.ledger import IMAGE_LIMIT, Ledger
from agent.system.files import discard

KEY = "file:/etc/app.conf"
FOUND = Seen({"type": "file", "mode": 0o640}, b"before\n")
LEFT = Seen({"type": "file", "mode": 0o644}, b"ours\n")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def again(ledger):
    """What another process reads."""
    return Ledger(ledger._folder)


def spoil(ledger, statement, *values):
    """Changes what stands in its tables, behind its back."""
    with closing(sqlite3.connect(ledger._folder / "entries.sqlite")) as connection, connection:
        connection.execute(statement, values)


def document(ledger):
    """The entry of KEY as it stands there."""
    with closing(sqlite3.connect(ledger._folder / "entries.sqlite")) as connection:
        ((text,),) = connection.execute("select document from entry where key = ?", (KEY.encode(),))
    return json.loads(text)


def write_document(ledger, document):
    spoil(ledger, "update entry set document = ? where key = ?", document, KEY.encode())


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
    assert [file.stat().st_mode & 0o777 for file in ledger._folder.iterdir()] == [0o600]
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


def test_what_is_forgotten_leaves_neither_entry_nor_image(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    ledger.forget(KEY)
    assert again(ledger).entries() == ()
    ledger.forget(KEY)
    ledger.record(KEY, "files", 6, Seen({"type": "file"}))
    assert again(ledger).image(KEY) is None


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
    write_document(ledger, damage)
    ledger = again(ledger)
    assert [entry.key for entry in ledger.entries()] == ["file:/other"]
    assert ledger.damaged() == (KEY,)
    ledger.record(KEY, "files", 6, None)
    assert again(ledger).damaged() == ()
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
    write_document(ledger, json.dumps(document(ledger) | changed).encode())
    assert again(ledger).entries() == ()


@pytest.mark.parametrize("column", ["key", "document"])
@pytest.mark.parametrize("type_", ["text", "integer", "real"])
def test_a_value_of_another_type_is_damage_that_is_told_once_and_loses_no_entry(ledger, column, type_):
    """One bit of a record's header makes a text of its bytes, or a number."""
    ledger.record(KEY, "files", 5, FOUND)
    ledger.record("file:/other", "files", 5, None)
    turn_into(ledger, "entry", column, type_)
    applied = lambda: [KEY, "file:/other"]  # noqa: E731
    assert "file:/other" in {entry.key for entry in again(ledger).entries()}
    assert [told.kind for told in again(ledger).heal(applied)] == ["state-corrupt"]
    ledger = again(ledger)
    assert (ledger.heal(applied), ledger.entry("file:/other").origin) == ((), Origin.CREATED)
    if type_ == "text":
        assert (ledger.entry(KEY).before, ledger.damaged()) == (FOUND.state, ())
    else:
        assert (ledger.entry(KEY), ledger.damaged()) == (None, (KEY,))
    ledger.record(KEY, "files", 6, None)
    assert again(ledger).entry(KEY).origin is Origin.ADOPTED
    ledger.forget(KEY)
    assert [entry.key for entry in again(ledger).entries()] == ["file:/other"]


def turn_into(ledger, table, column, type_):
    """Gives a value another type, as damage does: past the rules of its table."""
    with closing(sqlite3.connect(ledger._folder / "entries.sqlite")) as connection, connection:
        connection.execute("pragma ignore_check_constraints = on")
        change = f"update {table} set {column} = cast({column} as {type_}) where key = ?"
        connection.execute(change, (KEY.encode(),))


def test_an_image_of_another_type_is_damage_too(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    turn_into(ledger, "image", "content", "integer")
    assert len(again(ledger).heal(lambda: [KEY])) == 1
    assert (again(ledger).heal(), again(ledger).image(KEY)) == ((), None)


def test_of_an_entry_under_another_key_both_are_damaged(ledger):
    ledger.record(KEY, "files", 5, FOUND)
    spoil(ledger, "update entry set key = ?", b"file:/etc/app.conG")
    assert again(ledger).damaged() == ("file:/etc/app.conG", KEY)
    assert len(again(ledger).heal()) == 2
    assert again(ledger).heal() == ()


@pytest.mark.parametrize("name", [r"file:/etc/\udbff", r"\ud800"])
def test_a_key_that_can_be_no_name_is_damage(ledger, name):
    ledger.record(KEY, "files", 5, FOUND)
    write_document(ledger, json.dumps(document(ledger)).replace(KEY, name).encode())
    assert again(ledger).damaged() == (KEY,)


def test_whatever_bit_of_it_flips_it_is_healed_and_takes_nothing_for_created(ledger):
    with ledger.together():
        for number in range(20):
            ledger.record(f"file:/etc/{number:02}", "files", 5, FOUND)
    file, keys = ledger._folder / "entries.sqlite", {entry.key for entry in ledger.entries()}
    content = file.read_bytes()
    places = [place for place, byte in enumerate(content) if byte]
    for number in random.Random(7).sample(range(8 * len(places)), 60):
        damaged = bytearray(content)
        damaged[places[number // 8]] ^= 1 << number % 8
        file.write_bytes(damaged)
        again(ledger).heal(lambda: keys)
        healed = again(ledger)
        assert healed.heal(lambda: keys) == ()
        assert keys <= {entry.key for entry in healed.entries()} | {*healed.damaged()}
        discard(file.with_name("entries.sqlite.corrupt"))


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
    assert [entry.key for entry in again(ledger).entries()] == ["file:/first"]


def test_of_what_was_to_be_written_together_nothing_is_seen_by_others_before_the_end(ledger):
    ledger.record("file:/first", "files", 5, None)
    with ledger.together():
        ledger.record(KEY, "files", 5, FOUND)
        ledger.forget("file:/first")
        assert [entry.key for entry in again(ledger).entries()] == ["file:/first"]
    assert [entry.key for entry in again(ledger).entries()] == [KEY]


def test_an_entry_that_cannot_be_written_is_an_error(ledger):
    ledger.record("file:/first", "files", 5, None)
    (ledger._folder / "entries.sqlite").unlink()
    (ledger._folder / "entries.sqlite").mkdir()
    with pytest.raises(OSError, match="is a folder"):
        ledger.record(KEY, "files", 5, None)
    assert again(ledger).entry(KEY) is None


def test_names_that_are_no_text_are_kept_too(ledger):
    key = os.fsdecode(b"file:/etc/\xff")
    ledger.record(key, "files", 5, Seen({"type": "link", "target": os.fsdecode(b"\xfe")}))
    assert again(ledger).entry(key).before["target"] == os.fsdecode(b"\xfe")


def test_an_image_that_is_not_what_was_there_is_none(ledger):
    ledger.record(KEY, "files", 5, Seen({"sha256": hashlib.sha256(b"before\n").hexdigest()}, b"before\n"))
    assert ledger.image(KEY) == b"before\n"
    spoil(ledger, "update image set content = ?", b"other\n")
    assert ledger.image(KEY) is None


def test_what_was_created_has_no_image(ledger):
    ledger.record(KEY, "files", 5, None)
    spoil(ledger, "insert into image values (?, ?)", KEY.encode(), b"other\n")
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
    some = {name: value for name, value in document(ledger).items() if name in ("key", "deploy", "at", "origin")}
    write_document(ledger, json.dumps(some).encode())
    assert again(ledger).entry(KEY) == ledger.entry(KEY)


def test_a_damaged_entry_is_set_aside_and_named_once(ledger):
    ledger.record(KEY, "files", 5, None)
    ledger.record("file:/other", "files", 5, None)
    assert ledger.heal() == ()
    write_document(ledger, b"{")
    (told,) = ledger.heal()
    assert (KEY in told.message, told.kind) == (True, "state-corrupt")
    assert again(ledger).heal() == ()
    assert again(ledger).damaged() == (KEY,)


def spread(ledger):
    """A ledger of many pages."""
    with ledger.together():
        for number in range(500):
            ledger.record(f"file:/{number:03}", "files", 5, FOUND)


def test_of_a_damaged_file_is_kept_what_can_be_read_and_what_is_lost_is_never_taken_for_created(ledger):
    spread(ledger)
    file = ledger._folder / "entries.sqlite"
    with file.open("r+b") as pages:
        pages.seek(file.stat().st_size // 3)
        pages.write(os.urandom(8192))
    ledger = again(ledger)
    assert 100 < len(ledger.entries()) < 500
    (told,) = ledger.heal(lambda: [f"file:/{number:03}" for number in range(500)])
    assert (told.kind, (ledger._folder / "entries.sqlite.corrupt").exists()) == ("state-corrupt", True)
    kept = {entry.key for entry in again(ledger).entries()}
    assert 100 < len(kept) < 500
    lost = next(f"file:/{number:03}" for number in range(500) if f"file:/{number:03}" not in kept)
    assert lost in ledger.damaged()
    ledger.record(lost, "files", 6, None)
    ledger.record("file:/new", "files", 6, None)
    assert [again(ledger).entry(key).origin for key in (lost, "file:/new")] == [Origin.ADOPTED, Origin.CREATED]
    assert again(ledger).heal() == ()


@pytest.mark.parametrize("content", [b"", b"no database", bytes(4096), b"[]" * 5000])
def test_a_file_that_is_no_database_is_set_aside_and_all_that_was_applied_counts_as_lost(ledger, content):
    ledger.record(KEY, "files", 5, None)
    (ledger._folder / "entries.sqlite").write_bytes(content)
    ledger = again(ledger)
    assert ledger.entries() == ()
    assert len(ledger.heal(lambda: [KEY])) == 1
    assert (again(ledger).heal(), again(ledger).damaged()) == ((), (KEY,))
