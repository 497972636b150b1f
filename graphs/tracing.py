"""The trace of a run: each node's time, its calls of the model, and notes on exceptions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from imc_agents.state import TraceStep

CALLING = ("coordinator", "detector", "corrector", "verifier")
"""Nodes of the question's side; their calls of the model count against `Policy.max_calls`."""
JOINT = ("review", "answer")
"""Nodes that follow both sides."""


class Stopwatch:
    """Filled in by a node while it runs; `step` is complete when the `timed` block ends."""

    def __init__(self, node: str, *, opens: bool) -> None:
        self.node = node
        self.opens = opens
        self.calls = 0
        self.notes: list[str] = []
        self.ms = 0.0
        self.failed = False

    def fail(self, note: str) -> None:
        """Note why the node could not do its work; the run goes on without it."""
        self.notes.append(note)
        self.failed = True

    @property
    def step(self) -> TraceStep:
        """The node's run so far."""
        return TraceStep(
            node=self.node,
            ms=round(self.ms, 1),
            calls=self.calls,
            note="; ".join(self.notes),
            opens=self.opens,
            failed=self.failed,
        )


@contextmanager
def timed(node: str, *, opens: bool = False) -> Iterator[Stopwatch]:
    """Time a node by the wall clock, in milliseconds."""
    watch = Stopwatch(node, opens=opens)
    start = time.perf_counter()
    try:
        yield watch
    finally:
        watch.ms = (time.perf_counter() - start) * 1000


def role_of(node: str) -> str:
    """A node's name without the prefix it has where a graph holds several of its kind."""
    return next((role for role in (*CALLING, *JOINT, "vision") if node.endswith(role)), node)


def prefixed(update: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A node's update, its steps under the name that the node has in its graph."""
    steps = update.get("trace") or []
    if not prefix or not steps:
        return update
    named = [step.model_copy(update={"node": prefix + step.node}) for step in steps]
    return {**update, "trace": named}


def calls_of(trace: Iterable[TraceStep]) -> int:
    """Calls of the model by the question's side."""
    return sum(step.calls for step in trace if role_of(step.node) in CALLING)


def follow(trace: Sequence[TraceStep], new: Sequence[TraceStep]) -> list[TraceStep]:
    """Append to the trace; a node that opens its side anew drops what that side did before.

    A thread may be asked again, and a question or an image may be edited: the steps of the one
    before do not belong to it. Sides that open beside each other keep each other's steps, whichever
    comes first.
    """
    steps = list(trace)
    for step in new:
        if step.opens:
            side = CALLING if role_of(step.node) in CALLING else ("vision",)
            steps = [old for old in steps if role_of(old.node) not in (*side, *JOINT)]
        steps.append(step)
    return steps
