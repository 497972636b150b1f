"""Threads in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from langgraph.checkpoint.serde.base import SerializerProtocol

from graphs.checkpoints.images import ImageFolder
from graphs.checkpoints.kept import CheckpointsRefused, KeptThreads, ThreadSize, image_in
from graphs.checkpoints.sqlite_channels import CHANNELS, ChannelSaver

PRIVATE_FILE = 0o600
LOCK_SECONDS = 10.0
"""How long a write waits for another process's: theirs take milliseconds."""

_REASONS = {
    sqlite3.SQLITE_BUSY: "another process holds it locked; wait for it or close it",
    sqlite3.SQLITE_READONLY: "it is read-only; make it writable (chmod u+w), or name another file",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; free some space or check it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and is yours",
    sqlite3.SQLITE_NOTADB: "it is no SQLite file; name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged; name another file",
}
_IMAGES = f"SELECT type, value FROM {CHANNELS} WHERE channel IN ('image', '__start__')"
_SIZES = f"""
    SELECT thread_id, SUM(checkpoints), SUM(bytes), MAX(latest) AS latest FROM (
        SELECT thread_id, COUNT(*) AS checkpoints,
            SUM(LENGTH(checkpoint) + LENGTH(metadata)) AS bytes, MAX(checkpoint_id) AS latest
            FROM checkpoints GROUP BY thread_id
        UNION ALL SELECT thread_id, 0, SUM(LENGTH(value)), '' FROM writes GROUP BY thread_id
        UNION ALL SELECT thread_id, 0, SUM(LENGTH(value)), '' FROM {CHANNELS} GROUP BY thread_id
    ) GROUP BY thread_id ORDER BY latest DESC
"""


class SqliteThreads(KeptThreads, ChannelSaver):
    """The threads in one file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, serde: SerializerProtocol):
        super().__init__(connection, serde=serde)
        self.place = str(path)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise refused(self.place, error) from error

    def thread_sizes(self) -> list[ThreadSize]:
        with self.refusing(), self.cursor(transaction=False) as cursor:
            return [(row[0], row[1], row[2]) for row in cursor.execute(_SIZES)]

    def image_names(self) -> set[str]:
        with self.refusing(), self.cursor(transaction=False) as cursor:
            values = [self.serde.loads_typed(row) for row in cursor.execute(_IMAGES)]
        return set(filter(None, map(image_in, values)))

    def delete_thread(self, thread_id: str) -> None:
        super().delete_thread(thread_id)
        with self.refusing(), self.cursor() as cursor:  # nothing of it stays on the disk
            cursor.execute("PRAGMA incremental_vacuum").fetchall()
        with self.refusing(), self.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self.conn.close()


def open_sqlite(path: Path, serde: SerializerProtocol, images: ImageFolder) -> SqliteThreads:
    """The threads in the file `path`, which is made for its owner alone where it is missing.

    Raises:
        CheckpointsRefused: it cannot be opened or written, or is not an SQLite file of ours.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        if not path.is_file():  # a folder, a pipe, a device
            raise CheckpointsRefused(f"checkpoints in {path}: it is not a file; name another one")
    except OSError as error:
        raise CheckpointsRefused(
            f"checkpoints in {path}: {error.strerror}; name a file in a folder that exists and "
            "can be written"
        ) from error
    try:
        connection = sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)
        saver = SqliteThreads(path, connection, serde)
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # A killed process loses nothing; a power cut may lose the last steps, never the file.
            cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.execute("PRAGMA secure_delete = ON")
        saver.setup()
        connection.execute("BEGIN IMMEDIATE")  # whether it can be written is known before a run
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise refused(str(path), error) from error
    saver.images = images
    return saver


def refused(place: str, error: sqlite3.Error) -> CheckpointsRefused:
    """What an SQLite error means, without the text of a statement."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = _REASONS.get(code, f"{type(error).__name__}; name another file")
    return CheckpointsRefused(f"checkpoints in {place}: {reason}")
