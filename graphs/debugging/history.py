"""The checkpoints of a thread as a tree: what ran, what was edited, where branches begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from graphs.debugging.values import DebugRefused

__all__ = ["Checkpoint", "checkpoint_id", "find", "lineage", "read_history", "tree_lines"]

INPUT, EDIT, FORK = "input", "update", "fork"
"""LangGraph's names of what made a checkpoint, beside `loop`, a step of the graph."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of the root graph."""

    number: int
    """In order of time, from 0: what a person types."""
    id: str
    """LangGraph's id."""
    parent: int | None
    """Number of the checkpoint it came from."""
    source: str
    """`input`, `loop` (a step), `update` (an edit) or `fork`."""
    ran: tuple[str, ...]
    """Nodes whose results it holds, where a step made it."""
    next: tuple[str, ...]
    """Nodes that run next from here; empty at the end of a run."""
    created_at: str
    """Time of day, ISO 8601."""
    values: dict[str, Any]
    """State at it."""
    current: bool = False
    """Whether the session stands here."""

    @property
    def label(self) -> str:
        """What made it, in a few words."""
        if self.source == INPUT:
            return "input"
        if self.source == EDIT:
            return "edited"
        if self.source == FORK:
            return "run again"
        return f"after {', '.join(self.ran)}" if self.ran else "start"


def checkpoint_id(config: RunnableConfig | None) -> str:
    """The id that a config names; empty where it names none."""
    return "" if config is None else str(config["configurable"].get("checkpoint_id", ""))


def read_history(
    graph: Pregel[Any, Any, Any, Any], thread: RunnableConfig, current: str
) -> list[Checkpoint]:
    """All checkpoints of a thread, oldest first.

    Args:
        graph: with its checkpointer.
        thread: names the thread.
        current: id of the checkpoint where the session stands.
    """
    # ids are made of the time: their order is that of the runs
    snapshots = sorted(graph.get_state_history(thread), key=lambda one: checkpoint_id(one.config))
    found: list[Checkpoint] = []
    numbers: dict[str, int] = {}
    for number, snapshot in enumerate(snapshots):
        name = checkpoint_id(snapshot.config)
        parent = numbers.get(checkpoint_id(snapshot.parent_config))
        numbers[name] = number
        found.append(_checkpoint(number, name, snapshot, None if parent is None else found[parent]))
    return [replace(one, current=one.id == current) for one in found]


def _checkpoint(
    number: int, name: str, snapshot: StateSnapshot, parent: Checkpoint | None
) -> Checkpoint:
    source = str((snapshot.metadata or {}).get("source", "loop"))
    stepped = source == "loop" and parent is not None
    ran = tuple(node for node in parent.next if not node.startswith("__")) if stepped else ()  # type: ignore[union-attr]
    return Checkpoint(
        number=number,
        id=name,
        parent=None if parent is None else parent.number,
        source=source,
        ran=ran,
        next=tuple(snapshot.next),
        created_at=snapshot.created_at or "",
        values=dict(snapshot.values) if isinstance(snapshot.values, dict) else {},
    )


def find(history: Sequence[Checkpoint], name: str | int) -> Checkpoint:
    """The checkpoint of a number, an id, or an id's only beginning.

    Raises:
        DebugRefused: there is none, or several begin so.
    """
    text = str(name).strip().removeprefix("#")
    if text.isdecimal() and len(text) < 8:
        if int(text) < len(history):
            return history[int(text)]
    elif text:
        begins = [one for one in history if one.id.startswith(text)]
        if len(begins) == 1:
            return begins[0]
        if begins:
            raise DebugRefused(f"{len(begins)} checkpoints begin with {text!r}: give the number")
    have = f"they are 0 to {len(history) - 1}" if history else "the thread has none yet"
    raise DebugRefused(f"no checkpoint {text!r} in this thread; {have}")


def lineage(history: Sequence[Checkpoint], last: Checkpoint) -> list[Checkpoint]:
    """The checkpoints that led to one, oldest first, itself included."""
    path = [last]
    while path[-1].parent is not None:
        path.append(history[path[-1].parent])
    return path[::-1]


def tree_lines(history: Sequence[Checkpoint]) -> Iterator[tuple[str, Checkpoint]]:
    """Each checkpoint with the lines that lead to it; a branch is drawn beside its stem."""
    children: dict[int | None, list[Checkpoint]] = {}
    for one in history:
        children.setdefault(one.parent, []).append(one)
    waiting = [("", one) for one in reversed(children.get(None, []))]
    while waiting:
        lead, one = waiting.pop()
        yield lead, one
        base = lead.replace("├─", "│ ")
        next_ones = children.get(one.number, [])
        waiting += [(base, stem) for stem in next_ones[:1]]
        waiting += [(f"{base}├─", branch) for branch in reversed(next_ones[1:])]
