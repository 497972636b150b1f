"""Where threads are kept: SQLite or Postgres, the pictures beside them, and what lies in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from graphs.checkpoints.images import ImageFolder
    from graphs.checkpoints.kept import CheckpointsRefused, KeptThreads
    from graphs.checkpoints.opening import data_folder, open_checkpointer
    from graphs.checkpoints.serializing import STATE_TYPES, serializer

__all__ = [
    "STATE_TYPES",
    "CheckpointsRefused",
    "ImageFolder",
    "KeptThreads",
    "data_folder",
    "open_checkpointer",
    "serializer",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "graphs.checkpoints.images": ("ImageFolder",),
        "graphs.checkpoints.kept": ("CheckpointsRefused", "KeptThreads"),
        "graphs.checkpoints.opening": ("data_folder", "open_checkpointer"),
        "graphs.checkpoints.serializing": ("STATE_TYPES", "serializer"),
    },
)
