"""A chat model whose words are scripted, token by token, over real tiny weights.

A random-weight model cannot know what to say. Where a test is about what happens to the words
(tool calls read, answers parsed, failures shown), a script says them: everything else, from the
template to decoding, streaming and parsing, is the real path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from transformers import LogitsProcessor

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.decoding import DecodingSettings

Script = Callable[[str], str | None]
"""From the whole prompt to the reply; None lets the model speak for itself."""


class _Follow(LogitsProcessor):  # type: ignore[misc]
    def __init__(self, script: Script, tokenizer: Any) -> None:
        self._script = script
        self._tokenizer = tokenizer
        self._replies: list[list[int] | None] = []
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._step == 0:
            for row in input_ids:
                words = self._script(self._tokenizer.decode(row))
                self._replies.append(
                    None
                    if words is None
                    else [
                        *self._tokenizer(words, add_special_tokens=False)["input_ids"],
                        self._tokenizer.eos_token_id,
                    ]
                )
        scores = scores.clone()
        for row, reply in enumerate(self._replies):
            if reply is not None and self._step < len(reply):
                wanted: int = reply[self._step]
                kept = scores[row, wanted].clone()
                scores[row] = float("-inf")
                scores[row, wanted] = kept
        self._step += 1
        return scores


class ScriptedChat(ChatLocalMLLM):
    """`ChatLocalMLLM` whose replies come from a script."""

    script: Script = Field(exclude=True)

    def _decoding(self, stop: Sequence[str] | None, settings: dict[str, Any]) -> DecodingSettings:
        decoding = super()._decoding(stop, settings)
        return replace(decoding, processors=(_Follow(self.script, self.processor.tokenizer),))
