"""What our checkpointers add to LangGraph's: errors as sentences, async methods, images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

from graphs.checkpoints.images import ImageFolder
from imc_core.errors import IMCError

ThreadSize = tuple[str, int, int]
"""A thread's id, the number of its checkpoints, and their bytes."""


class CheckpointsRefused(IMCError):
    """Checkpoints cannot be opened, read or written."""


class KeptThreads(BaseCheckpointSaver[str]):
    """A checkpointer of `open_checkpointer`; among the bases it stands before LangGraph's saver."""

    place: str
    """How messages call the database: never with a password."""
    images: ImageFolder
    """The pictures that its checkpoints name."""

    def refusing(self) -> AbstractContextManager[None]:
        """Turn the database's errors within the block into `CheckpointsRefused`."""
        raise NotImplementedError

    def thread_sizes(self) -> list[ThreadSize]:
        """Every thread, the latest first."""
        raise NotImplementedError

    def image_names(self) -> set[str]:
        """The images that any thread names, as state does."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection."""
        raise NotImplementedError

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with self.refusing():
            return super().get_tuple(config)

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        with self.refusing():
            yield from super().list(config, **options)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with self.refusing():
            return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        with self.refusing():
            super().put_writes(config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        with self.refusing():
            super().delete_thread(thread_id)

    # The savers' own connections are guarded by a lock: a thread may call for the event loop.

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self, config: RunnableConfig | None, **options: Any
    ) -> AsyncIterator[CheckpointTuple]:
        for found in await asyncio.to_thread(lambda: [*self.list(config, **options)]):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)


def image_in(value: Any) -> str | None:
    """The name of the image that a channel holds: `image` itself, or the input of a run."""
    found = value.get("image") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
