"""The compiled imc graph: an image is taken into the image store before a run begins.

LangGraph checkpoints a run's input as it is given. So that no pixels reach a checkpoint, and a
picture is found again by the process that resumes, the input's image is replaced here by its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.runtime import get_runtime

from graphs.checkpoints.kept import KeptThreads
from graphs.context import IMCContext, Resolve
from graphs.errors import StateRefused
from graphs.steppable import SteppableGraph
from graphs.stores import NAME_PREFIX
from vision.reading.medical_image import read_image

PARENTS_CHECKPOINTER = "__pregel_checkpointer"
"""Where LangGraph's configuration holds the checkpointer of the graph around this one."""


class IMCGraph(SteppableGraph):
    """A compiled graph whose state names images and holds none.

    An image block becomes the name of its picture in the context's `ImageStore`. Where the
    checkpointer is one of `open_checkpointer`, a path does too, and the picture is written into
    the checkpointer's image folder; with another checkpointer a path stays as it was given.
    """

    resolve: Resolve
    """From a run's context to an IMCContext."""

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *, context: Any = None, **rest: Any
    ) -> Iterator[Any]:
        """As LangGraph's. Raises ImageRefused for an image that cannot be read."""
        taken = self._take_in(input, config, context)
        yield from super().stream(taken, config, context=context, **rest)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, *, context: Any = None, **rest: Any
    ) -> AsyncIterator[Any]:
        """As LangGraph's. Raises ImageRefused for an image that cannot be read."""
        taken = await asyncio.to_thread(self._take_in, input, config, context)
        async for event in super().astream(taken, config, context=context, **rest):
            yield event

    def checked_values(self, config: RunnableConfig, values: Any) -> Any:
        """As for any update; an image is taken in, where the checkpointer keeps images.

        Raises StateRefused for a value that its key cannot hold, ImageRefused for an image that
        cannot be read.
        """
        checked = super().checked_values(config, values)
        source = checked.get("image") if isinstance(checked, dict) else None
        if source is None or (isinstance(source, str) and source.startswith(NAME_PREFIX)):
            return checked
        kept = self._kept(config)
        if kept is not None:
            image = read_image(source)
            kept.images.put(image)
            return {**checked, "image": NAME_PREFIX + image.sha256}
        if _is_pixels(source):
            raise StateRefused(
                "an image block cannot be written into this thread, whose checkpoints hold no "
                "pixels: put the image into the context's image store and give its name, or a path"
            )
        return checked

    def _take_in(self, given: Any, config: RunnableConfig | None, context: Any) -> Any:
        kept = self._kept(config)
        source = given.get("image") if isinstance(given, Mapping) else None
        names_file = isinstance(source, str) and not source.startswith(NAME_PREFIX)
        if kept is None and (source is None or not _is_pixels(source)):
            return given
        store = self._context(context).images
        if kept is not None:
            store.search(kept.images)
        if source is None:
            return given
        image = store.read(source)
        if kept is not None:
            kept.images.put(image)
        if isinstance(source, str) and not names_file:
            return given
        return {**given, "image": store.put(image)}

    def _kept(self, config: RunnableConfig | None) -> KeptThreads | None:
        around = _config(config).get("configurable", {}).get(PARENTS_CHECKPOINTER)
        found = around if around is not None else self.checkpointer
        return found if isinstance(found, KeptThreads) else None

    def _context(self, context: Any) -> IMCContext:
        if context is None:
            try:
                context = get_runtime().context
            except RuntimeError:  # no graph around this one
                context = None
        return self.resolve(context)


def _is_pixels(source: Any) -> bool:
    """Whether an image is given as its content, a block or a data: URL, and not by a name."""
    return not isinstance(source, str) or source.startswith("data:")


def _config(config: RunnableConfig | None) -> RunnableConfig:
    if config is not None:
        return config
    try:
        return get_config()
    except RuntimeError:
        return {}
