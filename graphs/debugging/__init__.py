"""Step through any compiled graph: breakpoints, edits, forks, exchanges, branches; no interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from graphs.debugging.comparing import Comparison
    from graphs.debugging.history import Checkpoint, tree_lines
    from graphs.debugging.loading import load_graph
    from graphs.debugging.session import DebugSession
    from graphs.debugging.values import (
        Breakpoint,
        Change,
        DebugRefused,
        NodeRun,
        NodeStarted,
        Stop,
        as_json,
    )

__all__ = [
    "Breakpoint",
    "Change",
    "Checkpoint",
    "Comparison",
    "DebugRefused",
    "DebugSession",
    "NodeRun",
    "NodeStarted",
    "Stop",
    "as_json",
    "load_graph",
    "tree_lines",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "graphs.debugging.comparing": ("Comparison",),
        "graphs.debugging.history": ("Checkpoint", "tree_lines"),
        "graphs.debugging.loading": ("load_graph",),
        "graphs.debugging.session": ("DebugSession",),
        "graphs.debugging.values": (
            "Breakpoint",
            "Change",
            "DebugRefused",
            "NodeRun",
            "NodeStarted",
            "Stop",
            "as_json",
        ),
    },
)
