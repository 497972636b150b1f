"""Threads in a Postgres database (extra `postgres`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from graphs.checkpoints.images import ImageFolder
from graphs.checkpoints.kept import CheckpointsRefused, KeptThreads, ThreadSize, image_in

try:
    import psycopg
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.rows import dict_row
except ImportError as missing:
    raise CheckpointsRefused(
        "checkpoints in Postgres need its driver; install it with: pip install "
        "'imc-agents[postgres]'"
    ) from missing

CONNECT_SECONDS = 10

_NAMED = """
    SELECT DISTINCT checkpoint->'channel_values'->>'image' AS image FROM checkpoints
    WHERE checkpoint->'channel_values' ? 'image'
"""
_INPUTS = "SELECT type, blob FROM checkpoint_blobs WHERE channel IN ('image', '__start__')"
_SIZES = """
    SELECT c.thread_id, COUNT(*) AS checkpoints,
        SUM(LENGTH(c.checkpoint::text)) + COALESCE((SELECT SUM(LENGTH(b.blob))
            FROM checkpoint_blobs b WHERE b.thread_id = c.thread_id), 0) + COALESCE((
            SELECT SUM(LENGTH(w.blob)) FROM checkpoint_writes w
            WHERE w.thread_id = c.thread_id), 0) AS bytes
    FROM checkpoints c GROUP BY c.thread_id ORDER BY MAX(c.checkpoint_id) DESC
"""


class PostgresThreads(KeptThreads, PostgresSaver):
    """LangGraph's Postgres saver, over one connection."""

    def __init__(self, place: str, connection: Any, serde: SerializerProtocol) -> None:
        super().__init__(connection, serde=serde)
        self.place = place

    @contextmanager
    def refusing(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise refused(self.place, error) from error

    def thread_sizes(self) -> list[ThreadSize]:
        with self.refusing(), self._cursor() as cursor:
            return [
                (row["thread_id"], int(row["checkpoints"]), int(row["bytes"]))
                for row in cursor.execute(_SIZES)
            ]

    def image_names(self) -> set[str]:
        with self.refusing(), self._cursor() as cursor:
            named = [row["image"] for row in cursor.execute(_NAMED)]
            given = [
                self.serde.loads_typed((row["type"], bytes(row["blob"])))
                for row in cursor.execute(_INPUTS)
                if row["blob"] is not None
            ]
        return set(filter(None, map(image_in, [*named, *given])))

    def close(self) -> None:
        self.conn.close()


def open_postgres(url: str, serde: SerializerProtocol, images: ImageFolder) -> PostgresThreads:
    """The threads in the database at `url`; its tables are made where they are missing.

    Raises:
        CheckpointsRefused: the server cannot be reached, or refuses the user or the tables.
    """
    place = _place(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
        )
        saver = PostgresThreads(place, connection, serde)
        saver.setup()
    except psycopg.Error as error:
        raise refused(place, error) from error
    saver.images = images
    return saver


def _place(url: str) -> str:
    """The URL without user and password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise CheckpointsRefused(
            "the Postgres URL is malformed; write postgresql://USER@HOST:PORT/DATABASE"
        ) from error
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{parts.get('host', '')}{port}/{parts.get('dbname', '')}"


def refused(place: str, error: psycopg.Error) -> CheckpointsRefused:
    """What a Postgres error means: its class, since its text may quote values."""
    code = error.sqlstate or ""
    if code == "42501" or code.startswith("25006"):
        reason = "the user may not write there; grant it, or name another database"
    elif code.startswith("53"):
        reason = "the server has no space or no connection left"
    elif isinstance(error, psycopg.OperationalError):
        # libpq gives no code here, and its text, in the server's language, names the user
        reason = (
            "the server cannot be reached, or refuses the user or the database; check that it "
            "runs, and its address, user, password and database"
        )
    else:
        reason = f"{type(error).__name__} {code}".strip()
    return CheckpointsRefused(f"checkpoints in {place}: {reason}")
