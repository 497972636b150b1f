"""Edits of a state at a stop: validated against the graph's own types, and routed anew.

An edit is written as the nodes that ran last would have written it, so that the edges after them
are decided again from the edited state. Where several ran side by side, the values are written
first and all of them are then taken as done: an update as one node alone would forget the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.errors import InvalidUpdateError
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime
from langgraph.types import Overwrite, StateUpdate
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from graphs.debugging.asynchronous import awaited, is_asynchronous
from graphs.debugging.values import DebugRefused
from imc_core.errors import IMCError, where_raised

__all__ = ["from_json", "update_state", "validated"]

Graph = Pregel[Any, Any, Any, Any]

RUNTIME = "__pregel_runtime"
"""LangGraph's key of the runtime in a run's configuration."""
INTERNAL = ("__interrupt__", "__input__")
"""Names under which LangGraph remembers what is no node's run."""


def from_json(text: str) -> Any:
    """A value typed as JSON. Raises DebugRefused where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DebugRefused(
            f"the value is no JSON ({error}): a text needs double quotes, as in "
            '"Is there an effusion?"'
        ) from error


def validated(graph: Graph, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the types of the graph's state; dicts become the models they stand for.

    Raises:
        DebugRefused: an unknown key, or a value that is not of its type.
    """
    keys = [key for key in graph.stream_channels_list if not key.startswith("__")]
    unknown = [key for key in values if key not in keys]
    if unknown:
        raise DebugRefused(f"state has no key {unknown[0]!r}; its keys are {', '.join(keys)}")
    return {key: _validated(graph, key, value) for key, value in values.items()}


def _validated(graph: Graph, key: str, value: Any) -> Any:
    channel = graph.channels[key]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(channel.ValueType)  # type: ignore[union-attr]
    except (PydanticSchemaGenerationError, AttributeError, NameError, TypeError):
        return value  # a type that pydantic does not know: the graph's nodes must judge
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DebugRefused(
            f"state key {key!r} is left as it was: {f'{place}: ' if place else ''}{first['msg']}"
        ) from error


def update_state(
    graph: Graph, config: RunnableConfig, values: Mapping[str, Any], context: Any
) -> RunnableConfig:
    """Write values into the state at a checkpoint; returns the new checkpoint's config.

    Args:
        graph: the root graph, with a checkpointer.
        config: of the checkpoint; its namespace names a subgraph.
        values: validated; a list replaces the list that is there, whatever its reducer does.
        context: of the run, for conditional edges that read it.

    Raises:
        DebugRefused: no node has run yet that could have written them, or the graph refuses them.
    """
    versions, seen = _versions(graph, config)
    writers = _last_writers(seen)
    if not writers:
        raise DebugRefused("nothing has run yet: edit the input and start again")
    update = {key: _replacing(graph, config, key, value) for key, value in values.items()}
    # the first step writes; a second one, where several nodes ran, takes all of them as done
    steps = [[StateUpdate(update, writers[0])]]
    if len(writers) > 1:
        steps.append([StateUpdate({}, writer) for writer in writers])
    updated = config
    try:
        for step in steps:
            given = _with_runtime({**config, **updated}, context)
            updated = _write(graph, given, step)
    except IMCError as error:
        raise DebugRefused(f"state is left as it was: {error}") from error
    except (InvalidUpdateError, ValueError, TypeError, KeyError) as error:
        raise DebugRefused(
            f"state is left as it was: the graph refuses the edit ({where_raised(error)})"
        ) from error
    after, _ = _versions(graph, updated)
    ignored = [key for key in values if after.get(key) == versions.get(key)]
    if ignored:
        raise DebugRefused(
            f"state key {ignored[0]!r} is left as it was: before the first node only the keys of "
            "the graph's input can be edited; step once, then edit it"
        )
    return updated


def _write(graph: Graph, config: RunnableConfig, step: list[StateUpdate]) -> RunnableConfig:
    if is_asynchronous(graph):  # its edges may be asynchronous too
        return awaited(lambda: graph.abulk_update_state(config, [step]))
    return graph.bulk_update_state(config, [step])


def _with_runtime(config: RunnableConfig, context: Any) -> RunnableConfig:
    """LangGraph gives an update no runtime: a conditional edge that reads it would fail."""
    return {
        **config,
        "configurable": {**config["configurable"], RUNTIME: Runtime(context=context)},
    }


def _versions(
    graph: Graph, config: RunnableConfig
) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """Versions of the channels at a checkpoint, and those that each node has seen."""
    saver: Any = graph.checkpointer
    saved = saver.get_tuple(config)
    if saved is None:
        raise DebugRefused("this thread has no checkpoint yet: start a run first")
    return saved.checkpoint["channel_versions"], saved.checkpoint["versions_seen"]


def _last_writers(seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The nodes of the last superstep: they were triggered by the newest versions."""
    newest = {
        node: max(versions.values())
        for node, versions in seen.items()
        if versions and node not in INTERNAL
    }
    last = max(newest.values(), default=None)
    return [node for node, version in newest.items() if version == last]


def _replacing(graph: Graph, config: RunnableConfig, key: str, value: Any) -> Any:
    """The value, marked to replace what a reducer would combine it with."""
    channel = _graph_of(graph, config).channels.get(key)
    return Overwrite(value) if isinstance(channel, BinaryOperatorAggregate) else value


def _graph_of(graph: Graph, config: RunnableConfig) -> Graph:
    """The graph that a checkpoint's namespace names."""
    namespace = str(config["configurable"].get("checkpoint_ns", ""))
    path = "|".join(part.partition(":")[0] for part in namespace.split("|"))
    if not path:
        return graph
    found = dict(graph.get_subgraphs(recurse=True)).get(path)
    return found if isinstance(found, Pregel) else graph
