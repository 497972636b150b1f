"""A small workflow that knows nothing of imc: two branches side by side, and a subgraph.

    first ─► left, right ─► inner (one ─► two) ─► last
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Count(TypedDict, total=False):
    """A number, and the nodes that changed it."""

    number: int
    seen: Annotated[list[str], operator.add]


def adds_one(name: str) -> Callable[[Count], Count]:
    def node(state: Count) -> Count:
        return {"number": state.get("number", 0) + 1, "seen": [name]}

    return node


def left(state: Count) -> Count:
    return {"seen": ["left"]}


def right(state: Count) -> Count:
    return {"number": state["number"] * 10, "seen": ["right"]}


def builder() -> StateGraph[Any, Any, Any, Any]:
    inner = StateGraph(Count)
    inner.add_node("one", adds_one("one"))
    inner.add_node("two", adds_one("two"))
    inner.add_edge(START, "one")
    inner.add_edge("one", "two")
    inner.add_edge("two", END)
    outer = StateGraph(Count)
    outer.add_node("first", adds_one("first"))
    outer.add_node("left", left)
    outer.add_node("right", right)
    outer.add_node("inner", inner.compile())
    outer.add_node("last", adds_one("last"))
    outer.add_edge(START, "first")
    for branch in ("left", "right"):
        outer.add_edge("first", branch)
        outer.add_edge(branch, "inner")
    outer.add_edge("inner", "last")
    outer.add_edge("last", END)
    return outer


def asking() -> StateGraph[Any, Any, Any, Any]:
    """One node that asks a person for a number."""

    def ask(state: Count) -> Count:
        return {"number": int(interrupt("which number?")), "seen": ["ask"]}

    asks = StateGraph(Count)
    asks.add_node("ask", ask)
    asks.add_edge(START, "ask")
    asks.add_edge("ask", END)
    return asks


graph = builder().compile()
not_a_graph = 3
