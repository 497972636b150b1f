"""What a run did at each node, summed over its steps: for the picture of a finished run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from imc_agents.state import TraceStep

RunState = Literal["visited", "failed", "running", "next"]
"""`next`: the node that a stopped run continues with."""

MARKS: dict[RunState, str] = {"visited": "✓", "failed": "✗", "running": "…", "next": "▸"}
"""Shown beside the name, so that nothing is said by colour alone."""


@dataclass(frozen=True)
class NodeTotals:
    """The steps of one node in one run."""

    state: RunState
    runs: int = 1
    """How often it ran."""
    ms: float | None = None
    """Milliseconds, all its steps together; None: not measured."""
    calls: int = 0
    """Passes through the model, all its steps together."""
    note: str = ""
    """What its steps noted, joined."""

    @property
    def detail(self) -> str:
        """The figures in short: `×2 · 41 ms · 3 calls`."""
        parts = [f"×{self.runs}"] if self.runs > 1 else []
        if self.ms is not None:
            parts.append(f"{self.ms:.0f} ms" if self.ms >= 10 else f"{self.ms:.1f} ms")
        if self.calls:
            parts.append(f"{self.calls} call{'s' if self.calls != 1 else ''}")
        return " · ".join(parts)

    @property
    def sentence(self) -> str:
        """The same in words, for tooltips and screen readers."""
        said = {"next": "runs next", "running": "is running"}.get(self.state, self.state)
        parts = [said, *([self.detail] if self.detail else []), *([self.note] if self.note else [])]
        return ", ".join(parts)


def totals_of_trace(trace: Iterable[TraceStep]) -> dict[str, NodeTotals]:
    """The runs of each node, in the order in which the nodes first ended.

    Args:
        trace: the steps of one question: `state["trace"]`, or `trace` of `imc ask --json`.
    """
    runs: dict[str, NodeTotals] = {}
    for step in trace:
        ms = step.ms if step.ms > 0 else None
        one = NodeTotals("failed" if step.failed else "visited", 1, ms, step.calls, step.note)
        before = runs.get(step.node)
        runs[step.node] = one if before is None else _sum(before, one)
    return runs


def _sum(before: NodeTotals, one: NodeTotals) -> NodeTotals:
    notes = dict.fromkeys(note for note in (before.note, one.note) if note)
    times = [ms for ms in (before.ms, one.ms) if ms is not None]
    return replace(
        before,
        state="failed" if "failed" in (before.state, one.state) else "visited",
        runs=before.runs + one.runs,
        ms=sum(times) if times else None,
        calls=before.calls + one.calls,
        note="; ".join(notes),
    )
