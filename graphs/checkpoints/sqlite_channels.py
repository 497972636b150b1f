"""LangGraph's SQLite saver, with each value of state stored once and not in every checkpoint.

A checkpoint names the version of each channel; the values lie in a table of their own by channel
and version, as LangGraph's Postgres saver keeps them. A file of LangGraph's own saver is read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver

CHANNELS = "channel_values"

_TABLE = f"""
    CREATE TABLE IF NOT EXISTS {CHANNELS} (
        thread_id TEXT NOT NULL,
        checkpoint_ns TEXT NOT NULL,
        channel TEXT NOT NULL,
        version TEXT NOT NULL,
        type TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
    ) WITHOUT ROWID
"""
_WRITE = f"INSERT OR REPLACE INTO {CHANNELS} VALUES (?, ?, ?, ?, ?, ?)"
_READ = f"""
    SELECT channel, version, type, value FROM {CHANNELS}
    WHERE thread_id = ? AND checkpoint_ns = ? AND version IN (SELECT value FROM json_each(?))
"""


class ChannelSaver(SqliteSaver):
    """An SQLite saver whose database grows with what changes, not with the state."""

    def setup(self) -> None:
        """Make the tables where they are missing."""
        if not self.is_setup:
            super().setup()
            self.conn.execute(_TABLE)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        values, known = checkpoint["channel_values"], _versions(checkpoint)
        thread = (str(config["configurable"]["thread_id"]), config["configurable"]["checkpoint_ns"])
        with self.cursor() as cursor:
            # Not `new_versions` alone: a thread of LangGraph's own saver has none in the table yet.
            stored = {(row[0], row[1]) for row in cursor.execute(_READ, (*thread, _wanted(known)))}
            cursor.executemany(
                _WRITE,
                [
                    (*thread, channel, known[channel], *self.serde.dumps_typed(value))
                    for channel, value in values.items()
                    if channel in known and (channel, known[channel]) not in stored
                ],
            )
        rest = {name: value for name, value in values.items() if name not in known}
        bare: Checkpoint = {**checkpoint, "channel_values": rest}
        return super().put(config, bare, metadata, new_versions)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        return None if found is None else self._filled(found)

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        yield from map(self._filled, [*super().list(config, **options)])

    def delete_thread(self, thread_id: str) -> None:
        super().delete_thread(thread_id)
        with self.cursor() as cursor:
            cursor.execute(f"DELETE FROM {CHANNELS} WHERE thread_id = ?", (str(thread_id),))

    def _filled(self, found: CheckpointTuple) -> CheckpointTuple:
        """The checkpoint with its values."""
        where, checkpoint = found.config["configurable"], found.checkpoint
        known = _versions(checkpoint)
        thread = (str(where["thread_id"]), where.get("checkpoint_ns", ""))
        with self.cursor(transaction=False) as cursor:
            rows = cursor.execute(_READ, (*thread, _wanted(known))).fetchall()
        values = {
            channel: self.serde.loads_typed((kind, value))
            for channel, version, kind, value in rows
            if known.get(channel) == version
        }
        inline = checkpoint["channel_values"]
        filled: Checkpoint = {**checkpoint, "channel_values": {**inline, **values}}
        return found._replace(checkpoint=filled)


def _versions(checkpoint: Checkpoint) -> dict[str, str]:
    """The version of each channel."""
    return {name: str(version) for name, version in checkpoint["channel_versions"].items()}


def _wanted(versions: dict[str, str]) -> str:
    return json.dumps([*set(versions.values())])
