"""The trace of a run: each node's time, its calls of the model, and notes on exceptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from imc_agents.state import TraceStep


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
