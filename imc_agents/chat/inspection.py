"""Methods of the chat model that show a prompt as the model reads it, and count passes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from langchain_core.messages import BaseMessage

from imc_agents.chat.engine import Engine
from imc_agents.chat.prompt_tokens import ImageFeatures
from imc_agents.requests import PassCounts, RenderedPrompt

__all__ = ["InspectionMixin"]


class InspectionMixin:
    """`rendered_prompt` and `counting` of `ChatLocalMLLM`."""

    _engine: Engine

    def rendered_prompt(
        self, messages: Sequence[BaseMessage], *, features: ImageFeatures | None = None
    ) -> RenderedPrompt:
        """The conversation after the chat template, up to where the assistant answers.

        Args:
            messages: the conversation.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: the model cannot take the conversation.
            ModelRefused: features of another model.
        """
        prompt = self._engine.encode([messages], [features])[0]
        return RenderedPrompt(prompt.key[0], len(prompt.ids))

    def counting(self) -> AbstractContextManager[PassCounts]:
        """Count the scoring passes of a block; no other thread runs the model in it."""
        return self._engine.counting()
