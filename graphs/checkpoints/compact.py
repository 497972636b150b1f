"""State as compressed msgpack: field names and types repeat in every value."""

from __future__ import annotations

import zlib
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from graphs.checkpoints.kept import CheckpointsRefused

COMPRESSED = "msgpack+zlib"
"""Name of the format in the database, beside LangGraph's own `msgpack`."""
MIN_BYTES = 128
"""Shorter values do not shrink."""
MAX_BYTES = 16 << 20
"""Of one value, unpacked: state is some kilobytes, and a database may come from anywhere."""


class CompactSerializer(JsonPlusSerializer):
    """LangGraph's serializer, with longer values compressed; it reads both formats."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The name of the format and the bytes."""
        kind, data = super().dumps_typed(obj)
        if kind != "msgpack" or len(data) < MIN_BYTES:
            return kind, data
        return COMPRESSED, zlib.compress(data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value. Raises CheckpointsRefused: damaged, over `MAX_BYTES`, or another format."""
        kind, stored = data
        try:
            if kind == COMPRESSED:
                kind, stored = "msgpack", _unpacked(stored)
            return super().loads_typed((kind, stored))
        except (ValueError, NotImplementedError, zlib.error) as error:
            raise CheckpointsRefused(
                f"a checkpoint holds a value that cannot be read ({type(error).__name__}): the "
                "database is damaged or of another program; name another one"
            ) from error


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(packed, MAX_BYTES)
    if not unpacker.eof:
        raise ValueError("cut off or too long")
    return plain
