"""Graphs with asynchronous nodes, run from synchronous code: in an event loop of its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from langgraph.pregel import Pregel

__all__ = ["awaited", "is_asynchronous", "iterated"]

T = TypeVar("T")


def is_asynchronous(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether a node, of the graph or of a subgraph, can only be awaited."""
    graphs = [graph, *(one for _, one in graph.get_subgraphs(recurse=True))]
    bounds = [node.bound for one in graphs for node in getattr(one, "nodes", {}).values()]
    return any(
        getattr(bound, "afunc", None) is not None and getattr(bound, "func", None) is None
        for bound in bounds
    )


def iterated(make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """The values of an asynchronous iterator, as they come.

    Where the caller stops early, the iterator is cancelled.
    """
    found: SimpleQueue[tuple[Any, BaseException | None, bool]] = SimpleQueue()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def read() -> None:
        task = asyncio.current_task()
        if task is not None:
            running.append((asyncio.get_running_loop(), task))
        async for value in make():
            found.put((value, None, False))

    def work() -> None:
        try:
            asyncio.run(read())
            found.put((None, None, True))
        except BaseException as error:  # raised again where the values are read
            found.put((None, error, True))

    # the caller's context holds the callbacks of a run around this one
    threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
    ended = False
    try:
        while True:
            value, error, ended = found.get()
            if error is not None:
                raise error
            if ended:
                return
            yield value
    finally:
        if not ended and running:
            loop, task = running[0]
            loop.call_soon_threadsafe(task.cancel)


def awaited(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of a coroutine."""

    async def once() -> AsyncIterator[T]:
        yield await make()

    return next(iter(list(iterated(once))))
