"""What a debug session reports: a stop, the nodes that ran up to it, the keys that changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from imc_agents.exchanges import Exchange
from imc_core.errors import IMCError

__all__ = [
    "ABSENT",
    "Breakpoint",
    "Change",
    "DebugRefused",
    "Event",
    "Listener",
    "NodeRun",
    "NodeStarted",
    "Reason",
    "Stop",
    "When",
    "as_json",
    "changes",
]

When = Literal["before", "after"]
Reason = Literal[
    "opened", "step", "breakpoint", "interrupt", "failed", "stopped", "edited", "forked", "end"
]
State = Mapping[str, Any]


class DebugRefused(IMCError):
    """A command that a debug session cannot carry out: an unknown node, checkpoint or value."""


class _Absent:
    """The value of a key that a state does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


class Breakpoint(NamedTuple):
    """Where a run stops. A node of a subgraph is named with its path: `imc/verifier`."""

    node: str
    when: When = "before"

    def __str__(self) -> str:
        return f"{self.when} {self.node}"


class Change(NamedTuple):
    """A key of state whose value changed; ABSENT where there was, or is, none."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class NodeStarted:
    """A node began to run."""

    node: str
    task_id: str


@dataclass(frozen=True)
class NodeRun:
    """One run of a node."""

    node: str
    """With its path, where it is a node of a subgraph."""
    task_id: str
    """LangGraph's id of the run."""
    update: Any = None
    """What it wrote; None where it failed or was interrupted."""
    ms: float = 0.0
    """Wall time in milliseconds."""
    error: str | None = None
    """Why it failed, in one line; `failed` alone while the other nodes of its step still run."""
    exchanges: tuple[Exchange, ...] = ()
    """Its requests to the model, in order."""


Event = NodeStarted | NodeRun | Exchange
Listener = Callable[[Event], None]
"""Called at each event while a run goes on, in the thread that runs the graph."""


@dataclass(frozen=True)
class Stop:
    """Where a session stands, and what happened since the last stop."""

    reason: Reason
    checkpoint_id: str
    """Of the root graph: where a fork may begin."""
    next: tuple[str, ...] = ()
    """Nodes that run next, with their paths; empty at the end."""
    ran: tuple[NodeRun, ...] = ()
    """Nodes that ran in the last step."""
    before: State = field(default_factory=dict)
    """State before the step."""
    after: State = field(default_factory=dict)
    """State now: of the subgraph, where the session is inside of one."""
    changed: tuple[Change, ...] = ()
    """Keys whose values differ, in order."""
    breakpoint: Breakpoint | None = None
    """The breakpoint that was reached."""
    interrupts: tuple[Any, ...] = ()
    """What nodes ask a person; the next run needs a reply."""
    error: str | None = None
    """Why a node failed, in one line; state is as it was before the step."""
    fault: Exception | None = field(default=None, repr=False, compare=False)
    """The error itself; its text may quote a question."""


def changes(before: State, after: State) -> tuple[Change, ...]:
    """The keys whose values differ."""
    keys = dict.fromkeys([*before, *after])
    pairs = ((key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys)
    return tuple(Change(*one) for one in pairs if not _equal(one[1], one[2]))


def _equal(first: Any, second: Any) -> bool:
    try:
        return bool(first == second)
    except Exception:  # an array of several values, or another foreign type
        return first is second


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """A value of state as JSON text, whatever it is; what JSON has no form for by its `repr`."""
    try:
        written = to_json(
            value, indent=indent, inf_nan_mode="strings", bytes_mode="base64", fallback=repr
        )
    except (PydanticSerializationError, ValueError):
        return repr(value)
    # a list of plain values on one line: a JSON text itself holds no line break
    return _LIST.sub(lambda found: _BREAK.sub(" ", found[0]), written.decode("utf-8"))


_LIST = re.compile(r"\[[^\[\]{}]*\]")
_BREAK = re.compile(r"\n\s*")
