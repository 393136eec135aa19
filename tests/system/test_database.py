from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.system.database import DamagedDatabase, Database

SCHEMA = ("CREATE TABLE thing (key blob primary key, content blob not null) without rowid",)
INSERT = "insert or replace into thing values (?, ?)"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "private" / "things.sqlite", SCHEMA)


def fill(database: Database, number: int, content: bytes = b"x") -> None:
    database.write([(INSERT, [(b"%04d" % each, content) for each in range(number)])])


def contents(database: Database) -> set[bytes]:
    return {content for (content,) in database.rows("select content from thing")}


def test_without_a_file_there_is_nothing_and_no_damage(database: Database) -> None:
    assert (database.rows("select * from thing"), database.damage()) == ([], "")
    assert not database.path.parent.exists()


def test_it_is_one_file_of_root_s_alone(database: Database) -> None:
    fill(database, 3)
    fill(database, 2, b"y")
    assert [file.name for file in database.path.parent.iterdir()] == ["things.sqlite"]
    assert [path.stat().st_mode & 0o777 for path in (database.path, database.path.parent)] == [0o600, 0o700]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    fill(database, 1)
    with pytest.raises(OSError, match="UNIQUE"):
        database.write([(INSERT, [(b"new", b"y")]), ("insert into thing values (?, ?)", [(b"0000", b"z")])])
    assert contents(database) == {b"x"}


KILLED = """
import sys
from pathlib import Path
from agent.system.database import Database

database = Database(Path(sys.argv[1]), ())
number = 0
while True:
    rows = [(b"%04d" % each, b"%d" % number * 100) for each in range(2000)]
    database.write([("insert or replace into thing values (?, ?)", rows)])
    number += 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("round_", range(5))
def test_killed_at_any_moment_it_holds_all_of_a_transaction_or_nothing(database: Database, round_: int) -> None:
    fill(database, 2000, b"0" * 100)
    writer = subprocess.Popen([sys.executable, "-c", KILLED, f"{database.path}"], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(2):
        writer.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(0.007 * round_)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    assert len(contents(database)) == 1
    assert database.damage() == ""


def test_it_is_read_while_somebody_writes(database: Database) -> None:
    fill(database, 2000)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        writer.execute("update thing set content = x'79'")
        assert contents(database) == {b"x"}
        writer.execute("commit")
    assert contents(database) == {b"y"}


def test_what_can_be_read_of_a_broken_file_is_found_from_both_ends(database: Database) -> None:
    fill(database, 2000, b"x" * 50)
    with database.path.open("r+b") as file:
        file.seek(database.path.stat().st_size // 2)
        file.write(os.urandom(4096 * 3))
    assert "is damaged" in database.damage()
    with pytest.raises(DamagedDatabase):
        database.rows("select * from thing")
    rows, whole = database.salvaged("thing")
    keys = [key for key, _ in rows]
    assert (whole, 1500 < len(keys) < 2000, keys == sorted(set(keys))) == (False, True, True)
    assert (keys[0], keys[-1]) == (b"0000", b"1999")


@pytest.mark.parametrize("content", [b"", b"7", bytes(4096), b"text" * 500])
def test_what_is_no_database_is_damage(database: Database, content: bytes) -> None:
    fill(database, 1)
    database.path.write_bytes(content)
    assert database.damage()
    database.begin_afresh([(INSERT, [(b"a", b"b")])])
    assert (database.damage(), contents(database)) == ("", {b"b"})
    assert database.path.with_name("things.sqlite.corrupt").read_bytes() == content


def test_a_database_of_something_else_is_damage(database: Database) -> None:
    Database(database.path, ("CREATE TABLE other (key)",)).write([])
    assert "tables" in database.damage()


def test_one_that_has_been_set_aside_and_is_gone_is_damage(database: Database) -> None:
    database.path.parent.mkdir()
    database.path.with_name("things.sqlite.corrupt").touch()
    assert database.damage() == "is gone"


def test_a_journal_of_a_damaged_file_is_not_rolled_back_into_the_new_one(database: Database) -> None:
    fill(database, 2000)
    journal = database.path.with_name("things.sqlite-journal")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as writer:
        writer.execute("pragma cache_size = 1")
        writer.execute("begin immediate")
        writer.execute("update thing set content = 'y'")
        left = journal.read_bytes()
        writer.execute("rollback")
    database.path.write_bytes(b"broken" * 500)
    journal.write_bytes(left)
    database.begin_afresh([(INSERT, [(b"a", b"b")])])
    assert (contents(database), journal.exists()) == ({b"b"}, False)
