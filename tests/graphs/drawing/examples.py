"""Small graphs for tests of drawings, and the trace of a run."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imc_agents.state import TraceStep


class Empty(TypedDict, total=False):
    key: int


def _nothing(state: Empty) -> Empty:
    return {}


def asking_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """A coordinator that calls two agents in turn, beside another branch, then an answer."""
    builder = StateGraph(Empty)
    for name in ("vision", "coordinator", "detector", "verifier", "answer"):
        builder.add_node(name, _nothing)
    builder.add_edge(START, "vision")
    builder.add_edge(START, "coordinator")
    builder.add_conditional_edges(
        "coordinator",
        lambda state: "settled",
        {"detector": "detector", "verifier": "verifier", "settled": "answer"},
    )
    builder.add_edge("detector", "coordinator")
    builder.add_edge("verifier", "coordinator")
    builder.add_edge("vision", "answer")
    builder.add_edge("answer", END)
    return builder.compile(name="asking")


def embedding_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """A workflow with the asking graph inside, which may be run again."""
    builder = StateGraph(Empty)
    builder.add_node("triage", _nothing)
    builder.add_node("imc", asking_graph())
    builder.add_node("sign", _nothing)
    builder.add_edge(START, "triage")
    builder.add_edge("triage", "imc")
    builder.add_edge("imc", "sign")
    builder.add_conditional_edges("sign", lambda state: END, {"imc": "imc", "done": END})
    return builder.compile(name="workflow")


def waiting_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """A node that leads to itself."""
    builder = StateGraph(Empty)
    builder.add_node("poll", _nothing)
    builder.add_edge(START, "poll")
    builder.add_conditional_edges("poll", lambda state: END, {"again": "poll", "done": END})
    return builder.compile(name="waiting")


TRACE = [
    TraceStep(node="coordinator", ms=12.0, calls=1, opens=True),
    TraceStep(node="vision", ms=41.2, opens=True),
    TraceStep(node="coordinator", ms=0.4),
    TraceStep(node="answer", ms=80.0, calls=1, note="no answer: <RuntimeError>", failed=True),
]
