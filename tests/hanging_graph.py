"""A graph whose only node waits for ever, served beside ours: one that hangs holds up nobody."""

from __future__ import annotations

import threading
from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """Nothing that matters."""

    question: str


def hang(state: State) -> State:
    threading.Event().wait()
    return state


builder = StateGraph(State)
builder.add_node("hang", hang)
builder.add_edge(START, "hang")
builder.add_edge("hang", END)
graph = builder.compile()
