"""Exchanges with the model, kept in a file beside the checkpoints, only where that is asked for.

They hold questions, prompts and replies in plain text. The file is readable by its owner alone, and
what is kept of a thread is deleted with `delete`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from langgraph.runtime import ExecutionInfo

from imc_agents.exchanges import Exchange
from imc_core.errors import IMCError

__all__ = ["ExchangeStore", "ExchangesRefused", "StoredExchange", "exchanges_path"]

TABLE = """
CREATE TABLE IF NOT EXISTS exchanges (
    number INTEGER PRIMARY KEY,
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    node TEXT NOT NULL,
    exchange TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS of_thread ON exchanges (thread_id, checkpoint_id);
"""


class ExchangesRefused(IMCError):
    """A store of exchanges that cannot be opened, read or written."""


class StoredExchange(NamedTuple):
    """An exchange and the checkpoint from which its node ran."""

    checkpoint_id: str
    checkpoint_ns: str
    """Empty for the root graph."""
    exchange: Exchange


def exchanges_path(images: Path) -> Path:
    """The file of exchanges beside a checkpoint database, by the folder of the database's images
    (`KeptThreads.images.path`)."""
    return images.with_suffix(".exchanges")


class ExchangeStore:
    """Exchanges by thread, checkpoint and node, in one SQLite file; safe to share by threads."""

    def __init__(self, path: str | Path) -> None:
        """Open or create the file, readable and writable by its owner alone.

        Raises:
            ExchangesRefused: it cannot be opened, or is another kind of file.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._refusing("opened"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
            self._connection = sqlite3.connect(
                self.path, check_same_thread=False, isolation_level=None
            )
            self._connection.executescript(TABLE)

    def put(self, run: ExecutionInfo, exchange: Exchange) -> None:
        """Keep one exchange of a node's run. Raises ExchangesRefused: it cannot be written."""
        row = (
            run.thread_id or "",
            run.checkpoint_ns,
            run.checkpoint_id,
            exchange.node,
            exchange.model_dump_json(),
        )
        with self._refusing("written"):
            self._connection.execute(
                "INSERT INTO exchanges (thread_id, checkpoint_ns, checkpoint_id, node, exchange) "
                "VALUES (?, ?, ?, ?, ?)",
                row,
            )

    def of(
        self, thread_id: str, checkpoint_id: str | None = None, node: str | None = None
    ) -> list[StoredExchange]:
        """The exchanges of a thread, in order.

        Args:
            thread_id: the thread.
            checkpoint_id: those of nodes that ran from this checkpoint alone.
            node: those of this node alone.
        """
        query = "SELECT checkpoint_id, checkpoint_ns, exchange FROM exchanges WHERE thread_id = ?"
        values = [thread_id]
        for column, value in (("checkpoint_id", checkpoint_id), ("node", node)):
            if value is not None:
                query, values = f"{query} AND {column} = ?", [*values, value]
        with self._refusing("read"):
            rows = self._connection.execute(f"{query} ORDER BY number", values).fetchall()
        return [
            StoredExchange(checkpoint, namespace, Exchange.model_validate_json(text))
            for checkpoint, namespace, text in rows
        ]

    def delete(self, thread_id: str) -> int:
        """Delete what is kept of a thread; returns how many exchanges that were."""
        with self._refusing("written"):
            self._connection.execute("PRAGMA secure_delete = ON")
            gone = self._connection.execute(
                "DELETE FROM exchanges WHERE thread_id = ?", (thread_id,)
            )
        return gone.rowcount

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _refusing(self, done: str) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ExchangesRefused(
                f"exchanges {str(self.path)!r} cannot be {done} ({why}): name another file, or "
                "keep no exchanges"
            ) from error
