"""The imc graph for the LangGraph server: no checkpointer, input as JSON.

Named by `langgraph.json` and by `imc serve`. The server keeps the state of its runs itself, in
memory. A context cannot travel as JSON, so a run is given `ServedSettings` instead, and the model
is loaded by the first run that needs it: the one that the operator's variables (`IMC_MODEL`, ...)
or the table `[serve]` of the settings file `IMC_CONFIG` name. Input: `{"image": LangChain image
block, or PATH under the operator's image folder, "question": TEXT}`.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import Any

from imc_app.environment import IMAGE_ROOT, keep_on_this_machine

keep_on_this_machine(os.environ)  # before any library that would trace is imported

from graphs.context import IMCContext  # noqa: E402
from graphs.imc import build_imc_graph  # noqa: E402
from graphs.rooted_images import RootedImages  # noqa: E402
from imc_agents.policy import Method, Review  # noqa: E402
from imc_app.serving.settings import settings_of_environment  # noqa: E402


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

        Raises InputRefused, ModelRefused, BankRefused or ImageRefused when the operator's settings,
        model, bank or image folder cannot be used.
        """
        wanted = settings if isinstance(settings, ServedSettings) else ServedSettings()
        return self._base().with_policy(
            method=wanted.method, review=wanted.review, seed=wanted.seed
        )

    def _base(self) -> IMCContext:
        with self._lock:
            if self._loaded is None:
                images = RootedImages(os.environ.get(IMAGE_ROOT) or None)
                self._loaded = replace(settings_of_environment().open(), images=images)
            return self._loaded


graph = build_imc_graph(context_schema=ServedSettings, resolve=ServedContext())
