"""A compiled graph that is edited and stopped as people expect, alone and within other graphs.

LangGraph stores an update's writes before its channels see them, so that a refused value would be
met again at every resume: it is checked first here. It takes an update without a writer for
ambiguous where two nodes ran side by side. And it hands the breakpoints of a run to no subgraph.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate
from pydantic_core import to_jsonable_python

from graphs.channels import Appended, Checked
from graphs.drawing.notebook import LocalDisplay
from graphs.errors import StateRefused

Compiled = CompiledStateGraph[Any, Any, Any, Any]
Supersteps = Sequence[Sequence[StateUpdate]]
Stops = Literal["*"] | list[str] | None
"""Names of nodes to stop at, or all."""

USUAL_WRITER = "coordinator"
"""Writer of an update that names none, where several nodes ran last: it decides anew."""


class SteppableGraph(LocalDisplay, CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph over the state of `graphs.state`."""

    @classmethod
    def of(cls, compiled: Compiled, **own: Any) -> Self:
        """The same compiled graph, as this class, with attributes of its own."""
        graph = cls.__new__(cls)
        vars(graph).update({**vars(compiled), **own})
        return graph

    def copy(self, update: dict[str, Any] | None = None) -> Self:
        """As LangGraph's, which would leave out attributes of our own."""
        return self.of(self, **(update or {}))

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **rest: Any
    ) -> Iterator[Any]:
        """As LangGraph's; stops at the breakpoints of the graph around this one too."""
        yield from super().stream(_storable(input), config, **self._stops(config, rest))

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **rest: Any
    ) -> AsyncIterator[Any]:
        """As LangGraph's; stops at the breakpoints of the graph around this one too."""
        stops = self._stops(config, rest)
        async for event in super().astream(_storable(input), config, **stops):
            yield event

    def bulk_update_state(self, config: RunnableConfig, supersteps: Supersteps) -> RunnableConfig:
        """As LangGraph's. Raises StateRefused for a value that its key cannot hold."""
        return super().bulk_update_state(config, self._checked(config, supersteps))

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Supersteps
    ) -> RunnableConfig:
        """As LangGraph's. Raises StateRefused for a value that its key cannot hold."""
        checked = await asyncio.to_thread(self._checked, config, supersteps)
        return await super().abulk_update_state(config, checked)

    def _checked(self, config: RunnableConfig, supersteps: Supersteps) -> list[list[StateUpdate]]:
        return [
            [StateUpdate(self.checked_values(config, values), *rest) for values, *rest in updates]
            for updates in supersteps
        ]

    def checked_values(self, config: RunnableConfig, values: Any) -> Any:
        """The values of an update as the types of their keys. Raises StateRefused for others."""
        if not isinstance(values, Mapping):
            return values
        for key in values:
            if key not in self.stream_channels_list:
                raise StateRefused(
                    f"state has no key {str(key)[:40]!r}; "
                    f"its keys are {', '.join(self.stream_channels_list)}"
                )
        return {key: self._value(key, value) for key, value in values.items()}

    def _value(self, key: str, value: Any) -> Any:
        channel = self.channels[key]
        return channel.valid(value) if isinstance(channel, Checked | Appended) else value

    def _infer_as_node(self, versions_seen: Any) -> str | None:
        writer = super()._infer_as_node(versions_seen)
        return USUAL_WRITER if writer is None and USUAL_WRITER in self.nodes else writer

    def _stops(self, config: RunnableConfig | None, rest: dict[str, Any]) -> dict[str, Any]:
        """The run's arguments, with the breakpoints that the run around it has at our nodes."""
        around = _run_around(config)
        stops = dict(rest)
        for when in ("interrupt_before", "interrupt_after"):
            names = getattr(around, when, None) or ()
            own = [name for name in names if name in self.nodes and name not in around.nodes]
            if own and names != "*" and not stops.get(when):
                stops[when] = own
        return stops


def _storable(given: Any) -> Any:
    """A run's input; a reply that cannot be stored, or is none, as the empty text.

    LangGraph fails at either with an error of its own. The node that waits for the reply asks for
    it again.
    """
    if not isinstance(given, Command) or given.update or given.goto:
        return given
    try:
        if given.resume is not None:
            to_jsonable_python(given.resume, inf_nan_mode="constants")
            return given
    except (ValueError, RecursionError):
        pass  # it is no plain value
    return replace(given, resume="")


def _run_around(config: RunnableConfig | None) -> Any:
    """The run of the graph that this one is a node of; None where there is none.

    It is reached by what LangGraph gives a node to schedule tasks with: a method of the run.
    """
    if config is None:
        try:
            config = get_config()
        except RuntimeError:
            return None
    call = config.get("configurable", {}).get("__pregel_call")
    return getattr(getattr(call, "keywords", {}).get("schedule_task"), "__self__", None)
