"""One file of tables, by SQLite: written in transactions that survive a loss of power, read while somebody writes.

All values are bytes. A flipped bit may turn one into a text or a number: that is how damage is seen. At rest the
database is one file. During a transaction it has a rollback journal beside it; after a crash, the next process that
opens the database rolls that back. The errors tell damage apart from a disk that refuses.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.system.files import discard, fsync_folder, make_private_folder, temporary_name
from agent.system.misplaced import aside_of, misplaced_file

BUSY_S = 30.0
"""The longest wait of a reader for a commit, or of a writer for a reader: mostly milliseconds, more on a slow disk."""

SMALLEST = 512
"""Bytes of the smallest page. SQLite takes a shorter file for a new database."""

Row = tuple[Any, ...]
Statement = tuple[str, Sequence[Row]]
"""A statement of SQL, and the rows of values: it runs once for each."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG})
"""Codes of SQLite that mean damage. SQLITE_ERROR: a table is missing. SQLITE_TOOBIG: a length that nobody wrote."""
_REFUSED = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EAGAIN,
}
"""Errno by the code of SQLite; EIO for any other."""


class DamagedDatabase(OSError):
    """The file is no database of ours, or is broken."""


class Database:
    """The database at ``path``. ``schema``: the statements that make its tables. Methods raise OSError, for damage
    DamagedDatabase."""

    def __init__(self, path: Path, schema: Sequence[str]) -> None:
        self.path = path
        self._schema = schema

    def rows(self, query: str, values: Row = ()) -> list[Row]:
        """The rows of ``query``; none if there is no file yet."""
        return self._read(query, values, [])

    def salvaged(self, table: str) -> tuple[list[Row], bool]:
        """The rows of a table by ascending ``key``, as far as they can be read from both of its ends; and True if these
        are all rows."""
        found: list[list[Row]] = []
        whole = True
        for order in ("asc", "desc"):
            rows: list[Row] = []
            try:
                self._read(f"select * from {table} order by key {order}", (), rows)  # noqa: S608 - no value in it
            except DamagedDatabase:
                whole = False
            found.append(rows)
        by_key = {row[0]: row for row in (*found[0], *reversed(found[1]))}
        return [*by_key.values()], whole and len(by_key) == len(found[0]) and self._adds_up(table)

    def _adds_up(self, table: str) -> bool:
        """False if SQLite finds damage in the table: a query may then miss rows without an error."""
        try:
            return self.rows(f"pragma integrity_check({table})") in ([(b"ok",)], [])
        except DamagedDatabase:
            return False

    def write(self, statements: Iterable[Statement]) -> None:
        """Run all statements in one transaction. It is on the disk when this returns; after an error nothing has
        changed."""
        if not os.path.lexists(self.path):
            self._create(statements)
            return
        with self._opened() as connection:
            _commit(connection, statements)

    def damage(self) -> str:
        """The reason why the file cannot be used, in words; empty if it is whole, and if there never was one. Raises
        OSError if that cannot be told."""
        try:
            if not os.path.lexists(self.path):
                return "is gone" if os.path.lexists(aside_of(self.path)) else ""
            ((found,),) = self.rows("pragma integrity_check(1)")
            tables = {sql for (sql,) in self.rows("select sql from sqlite_master where type = 'table'")}
        except DamagedDatabase as error:
            return error.strerror or f"{error}"
        if found != b"ok":
            return f"is damaged: {found.decode(errors='replace')}"
        return "" if tables.issuperset(map(str.encode, self._schema)) else "is damaged: it lacks tables"

    def begin_afresh(self, statements: Iterable[Statement]) -> None:
        """Put a new database, with these ``statements`` run, in the place of a damaged one, which is set aside. If this
        is cut off, the damaged one is still there, in its place or aside."""
        aside = aside_of(self.path)
        if os.path.lexists(self.path):
            discard(aside)
            if misplaced_file(self.path):
                self.path.rename(aside)
            else:
                os.link(self.path, aside, follow_symlinks=False)
        discard(self.path.with_name(f"{self.path.name}-journal"))  # it would be rolled back into the new one
        self._create(statements)

    def _create(self, statements: Iterable[Statement]) -> None:
        make_private_folder(self.path.parent)
        new = temporary_name(self.path)
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            with _connected(new) as connection:
                connection.execute("pragma journal_mode = off")  # nobody else opens the file before it has its name
                _commit(connection, [*((table, [()]) for table in self._schema), *statements])
            new.replace(self.path)
        except BaseException:
            with suppress(OSError):
                discard(new)
            raise
        fsync_folder(self.path.parent)

    def _read(self, query: str, values: Row, rows: list[Row]) -> list[Row]:
        """``rows``, to which the rows of ``query`` are added one by one: the rows before an error stay in it. A row
        with a value that is not bytes is left out, and DamagedDatabase raised at the end."""
        if os.path.lexists(self.path):
            whole = True
            with self._opened() as connection:
                for row in connection.execute(query, values):
                    if {*map(type, row)} == {bytes}:
                        rows.append(row)
                    else:
                        whole = False
            if not whole:
                raise DamagedDatabase(errno.EUCLEAN, "is damaged: it holds values of another type", f"{self.path}")
        return rows

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        wrong = misplaced_file(self.path) or ("too short" if self.path.lstat().st_size < SMALLEST else "")
        if wrong:
            raise DamagedDatabase(errno.EUCLEAN, f"is {wrong}", f"{self.path}")
        with _connected(self.path) as connection:
            yield connection


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode=rw"  # not ro: a reader may have to roll back
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
            # EXTRA syncs the folder too: the journal that has been removed must not come back.
            connection.execute("pragma synchronous = extra")
            connection.text_factory = bytes  # a damaged text may not be UTF-8
            yield connection
    except UnicodeDecodeError as error:  # a message of SQLite names a damaged table or column
        raise DamagedDatabase(errno.EUCLEAN, f"is damaged: {error.reason}", f"{path}") from error
    except sqlite3.Error as error:
        raise _explained(error, path) from error


def _commit(connection: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    connection.execute("begin immediate")
    for statement, values in statements:
        connection.executemany(statement, values)
    connection.execute("commit")


def _explained(error: sqlite3.Error, path: Path) -> OSError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF  # without the bits of the extended code
    if code in _DAMAGED:
        return DamagedDatabase(errno.EUCLEAN, f"is damaged: {error}", f"{path}")
    number = _REFUSED.get(code, errno.EIO)
    return OSError(number, f"{os.strerror(number)} ({error})", f"{path}")
