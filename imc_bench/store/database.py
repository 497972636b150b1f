"""An SQLite file of which several processes write: transactions, and refusals in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from imc_bench.errors import StoreRefused

_AT_ONCE = 1000
"""Rows that are read together."""
BUSY_SECONDS = 60.0
"""How long a write waits for another process's."""


class Database:
    """An open file. Raises StoreRefused wherever SQLite cannot read or write."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file; made where there is none, unless it is only to be read."""
        self.path = path
        self.connection = _open_to_read(path) if read_only else _connect(path)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def tables(self) -> set[str]:
        """The names of its tables."""
        return {name for (name,) in self.all("SELECT name FROM sqlite_master WHERE type='table'")}

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns; none where there is no such table."""
        return {name for (name,) in self.all("SELECT name FROM pragma_table_info(?)", table)}

    def each(self, statement: str, *values: Any) -> Iterator[Any]:
        """Rows that a statement finds, one by one."""
        cursor = self.run(statement, *values)
        while True:
            try:
                rows = cursor.fetchmany(_AT_ONCE)
            except sqlite3.Error as error:
                raise _refusal(self.path, error) from error
            if not rows:
                return
            yield from rows

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement, with `values` in the places of its `?`."""
        try:
            return self.connection.execute(statement, values)
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    def run_many(self, statement: str, rows: Sequence[Any]) -> None:
        """Run one statement for each of `rows`."""
        try:
            self.connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    def all(self, statement: str, *values: Any) -> list[Any]:
        """Every row that a statement finds."""
        try:
            with closing(self.connection.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    def write_through(self) -> None:
        """Bring what the journal holds into the file itself; not while another one is reading."""
        self.all("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that holds the only write lock; undone where anything goes wrong."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # safe against kill; WAL's own advice
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    return connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing and leaves no file behind.

    A file that nobody writes is read as it is (`immutable`), also where SQLite could not make its
    file of shared memory beside it; one that is being written has a journal beside it.
    """
    problem: sqlite3.Error | None = None
    journal = path.with_name(f"{path.name}-wal")
    for way in ("mode=ro", "immutable=1") if journal.exists() else ("immutable=1",):
        try:
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?{way}",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
        except sqlite3.Error as error:
            problem = problem or error
            continue
        try:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
            return connection
        except sqlite3.Error as error:
            connection.close()
            if not isinstance(error, sqlite3.OperationalError) or "locked" in str(error):
                raise _refusal(path, error) from error
            problem = problem or error
    raise _refusal(path, problem or sqlite3.Error("cannot be opened"))


def _refusal(path: Path, error: sqlite3.Error) -> StoreRefused:
    """What SQLite said, and the remedy."""
    said = str(error)
    if "not a database" in said or "malformed" in said:
        remedy = (
            "it is not a store of imc bench, or it is damaged, as after a copy while a run was "
            "writing; copy it again when none is, or give another file"
        )
    elif "full" in said:
        remedy = "free some space and run the same command again; what was written is safe"
    elif "locked" in said or "busy" in said:
        remedy = "another program holds it; close that and run the same command again"
    else:
        remedy = (
            "check the folder's rights and run the same command again; what was written is safe"
        )
    return StoreRefused(f"{path}: {said}: {remedy}")
