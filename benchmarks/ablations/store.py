"""Answers by run and cell in one SQLite file, so that a stopped measurement goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS answers (key TEXT, run TEXT, cell TEXT, touched INTEGER,
    images INTEGER, told TEXT, PRIMARY KEY (key, run, cell))"""
_WAIT = 60.0
"""Seconds to wait for another process's write."""


@dataclass(frozen=True)
class Told:
    """What a run said under one cell."""

    answers: list[str]
    touched: int
    """Images that it changed."""
    images: int


class Answers:
    """The file; safe to use from several processes at once."""

    def __init__(self, path: Path, key: str) -> None:
        """`key` stands for everything that determines the answers of this measurement."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.key = path, key
        with self._open() as file:
            file.execute(_TABLE)

    def put(self, run: str, cell: str, told: Told) -> None:
        """Keep a cell of a run."""
        row = (self.key, run, cell, told.touched, told.images, json.dumps(told.answers))
        with self._open() as file:
            file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def get(self, run: str, cell: str) -> Told | None:
        """A cell of a run; None where it was not measured."""
        with self._open() as file:
            found = file.execute(
                "SELECT told, touched, images FROM answers WHERE key = ? AND run = ? AND cell = ?",
                (self.key, run, cell),
            ).fetchone()
        return None if found is None else Told(json.loads(found[0]), found[1], found[2])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=_WAIT)) as file, file:
            yield file
