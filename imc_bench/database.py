"""An SQLite file of which several processes write: transactions, and refusals in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from imc_bench.errors import StoreRefused

BUSY_SECONDS = 60.0
"""How long a write waits for another process's."""


class Database:
    """An open file. Raises StoreRefused wherever SQLite cannot read or write."""

    def __init__(self, path: Path) -> None:
        """Open the file, made where there is none."""
        self.path = path
        self.connection = _connect(path)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def tables(self) -> set[str]:
        """The names of its tables."""
        return {name for (name,) in self.all("SELECT name FROM sqlite_master WHERE type='table'")}

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


def _refusal(path: Path, error: sqlite3.Error) -> StoreRefused:
    """What SQLite said, and the remedy."""
    said = str(error)
    if "not a database" in said or "malformed" in said:
        remedy = "it is not a store of imc bench, or it is damaged; give another file"
    elif "full" in said:
        remedy = "free some space and run the same command again; what was written is safe"
    elif "locked" in said or "busy" in said:
        remedy = "another program holds it; close that and run the same command again"
    else:
        remedy = (
            "check the folder's rights and run the same command again; what was written is safe"
        )
    return StoreRefused(f"{path}: {said}: {remedy}")
