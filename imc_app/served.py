"""The imc graph for `langgraph dev` and the LangGraph server: no checkpointer, input as JSON.

Named by `langgraph.json`. The server keeps the state of its runs itself. A context cannot travel
as JSON, so a run is given `ServedSettings` instead, and the embedded model is loaded by the first
run that needs it. Input: `{"image": PATH or LangChain image block, "question": TEXT}`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from graphs.context import IMCContext, load_context
from graphs.imc import build_imc_graph
from imc_agents.policy import Method, Review


@dataclass(frozen=True)
class ServedSettings:
    """What a client may say about a run, beside its input."""

    method: Method = "imc"
    """What is done before the model answers."""
    review: Review = "never"
    """When a person is shown what would change, before the answer."""
    seed: int = 0
    """Recorded with the answer."""


class ServedContext:
    """The context behind every run of one server: one model, loaded when it is first needed."""

    def __init__(self) -> None:
        self._loaded: IMCContext | None = None
        self._lock = threading.Lock()

    def __call__(self, settings: Any) -> IMCContext:
        """The context under a run's settings; None stands for the defaults.

        Raises ModelRefused or BankRefused when the embedded model cannot be used.
        """
        wanted = settings if isinstance(settings, ServedSettings) else ServedSettings()
        return self._base().with_policy(
            method=wanted.method, review=wanted.review, seed=wanted.seed
        )

    def _base(self) -> IMCContext:
        with self._lock:
            if self._loaded is None:
                from imc_reference import MODEL_DIR

                self._loaded = load_context(MODEL_DIR)
            return self._loaded


graph = build_imc_graph(context_schema=ServedSettings, resolve=ServedContext())
