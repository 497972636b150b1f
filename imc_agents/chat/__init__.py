"""The chat model over a local MLLM: loading, prompts, decoding, scoring, structured output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_agents.chat.chat_model import ChatLocalMLLM
    from imc_agents.chat.loading import LocalMLLM, load_local_mllm
    from imc_agents.chat.placement import Placement
    from imc_agents.chat.scores import Choice, TextScore, TokenScore
    from imc_agents.chat.structured import StructuredAnswer

__all__ = [
    "ChatLocalMLLM",
    "Choice",
    "LocalMLLM",
    "Placement",
    "StructuredAnswer",
    "TextScore",
    "TokenScore",
    "load_local_mllm",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_agents.chat.chat_model": ("ChatLocalMLLM",),
        "imc_agents.chat.loading": ("LocalMLLM", "load_local_mllm"),
        "imc_agents.chat.placement": ("Placement",),
        "imc_agents.chat.scores": ("Choice", "TextScore", "TokenScore"),
        "imc_agents.chat.structured": ("StructuredAnswer",),
    },
)
