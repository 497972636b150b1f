"""Who listens to the requests of a node: the `custom` stream, LangChain's callbacks, a store.

Where nobody does, no exchange is made, and a request costs what it costs without.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from langchain_core.callbacks import CallbackManager
from langchain_core.runnables.config import ensure_config
from langgraph.runtime import Runtime

from graphs.context import IMCContext
from imc_agents.chat.recording import NO_STREAM, Receiver, RequestRecorder

__all__ = ["recorder_of"]


def recorder_of(node: str, context: IMCContext, runtime: Runtime[Any]) -> RequestRecorder | None:
    """What records the requests of a node; None where nobody listens.

    Args:
        node: the node's name outside of a graph; within one, the graph's name of it is used.
        context: with the store of exchanges, where they are kept.
        runtime: of the node's run.
    """
    config = ensure_config()
    node = str((config.get("metadata") or {}).get("langgraph_node", node))
    receivers: list[Receiver] = []
    if _reaches_a_stream(runtime.stream_writer):
        receivers.append(runtime.stream_writer)
    if context.exchanges is not None and runtime.execution_info is not None:
        receivers.append(partial(context.exchanges.put, runtime.execution_info))
    callbacks = CallbackManager.configure(config.get("callbacks"), local_tags=[NO_STREAM])
    traced = callbacks if callbacks.handlers else None
    return RequestRecorder(node, receivers, traced) if receivers or traced else None


def _reaches_a_stream(writer: Any) -> bool:
    """Whether a stream writer passes its values on.

    Where no `custom` mode is asked for, LangGraph gives a function with an empty body: it closes
    over nothing and names nothing.
    """
    code = getattr(writer, "__code__", None)
    return code is None or bool(code.co_freevars or code.co_names)
