"""Log-probabilities of texts, one sequence each: plain passes, or the cache of a shared prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_batches import stack_prompts
from imc_agents.chat.verified_fast_path import VerifiedFastPath
from imc_core.memory import MemoryBound

__all__ = ["MAX_LOGITS", "MAX_TOKENS", "PlainPasses", "ScoredText", "log_probabilities"]

MAX_LOGITS = 64 * 1024**2
"""Most logits of one pass, rows x scored tokens x vocabulary: 64 Mi float32 values are 256 MB."""
MAX_TOKENS = 32 * 1024
"""Most tokens of one pass."""
_MIN_TOKENS_SAVED = 512
"""Least number of tokens saved by sharing a prompt, which costs a second pass."""


@dataclass
class ScoredText:
    """One text to score after its prompt."""

    prompt: EncodedPrompt
    text: str
    ids: list[int]
    spans: list[tuple[int, int]]


class PlainPasses:
    """Scores each text in a sequence of its own; the prompt is shared where that saves time.

    Args:
        model: the model.
        free: of its `MemoryBound`.

    Attributes:
        passes: batched forward passes made so far (a shared prompt and the texts after it are one).
        reused_tokens: tokens of prompts so far that were computed once for several texts.
    """

    def __init__(self, model: Any, free: Callable[[], object] = torch.cuda.empty_cache) -> None:
        self._model = model
        self._sharing = VerifiedFastPath()
        if hasattr(model.base_model, "rope_deltas"):
            self._sharing.rule_out()  # positions depend on the last prompt
        self._memory = MemoryBound(free)
        self.passes = 0
        self.reused_tokens = 0

    def logprobs(
        self, rows: list[ScoredText], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> dict[int, list[float]]:
        """Log-probabilities of every token of the tails, by row.

        Args:
            rows: the texts.
            tails: token ids to score after each row's prompt.
            groups: indices of rows by prompt.

        Raises OutOfMemory where not even one text fits.
        """
        found: dict[int, list[float]] = {}
        alone: list[int] = []
        for members in groups.values():
            if not self._should_share(rows, members):
                alone += members
                continue
            for chunk in self._chunks(rows, members, shared=True):
                for _, scores in self._memory.run(chunk, partial(self._shared, rows, tails)):
                    found.update(scores)
        for chunk in self._chunks(rows, sorted(alone), shared=False):
            for _, scores in self._memory.run(chunk, partial(self.plain, rows, tails)):
                found.update(scores)
                self.passes += 1
        return found

    def _should_share(self, rows: list[ScoredText], members: list[int]) -> bool:
        saved = (len(members) - 1) * len(rows[members[0]].prompt.ids)
        return self._sharing.agrees is not False and saved >= _MIN_TOKENS_SAVED

    def _chunks(
        self, rows: list[ScoredText], members: list[int], *, shared: bool
    ) -> list[list[int]]:
        """Split rows into passes that stay within the memory for tokens and logits."""
        vocabulary = self._model.config.get_text_config().vocab_size
        chunks: list[list[int]] = []
        longest = shortest = 0
        for index in members:
            prompt = 0 if shared else len(rows[index].prompt.ids)
            total = prompt + len(rows[index].ids) + 1
            first = not chunks
            new_longest = total if first else max(longest, total)
            new_shortest = prompt if first else min(shortest, prompt)
            count = 1 if first else len(chunks[-1]) + 1
            too_big = (
                count * new_longest > MAX_TOKENS
                or count * (new_longest - new_shortest) * vocabulary > MAX_LOGITS
            )
            if first or (too_big and count > 1):
                chunks.append([index])
                longest, shortest = total, prompt
            else:
                chunks[-1].append(index)
                longest, shortest = new_longest, new_shortest
        return chunks

    def plain(
        self, rows: list[ScoredText], tails: list[list[int]], chunk: Sequence[int]
    ) -> dict[int, list[float]]:
        """One right-padded pass over whole prompts with their texts."""
        inputs = stack_prompts(
            [rows[i].prompt for i in chunk],
            [rows[i].prompt.ids.new_tensor(tails[i]) for i in chunk],
            pad_id=0,
            side="right",
        )
        width = inputs["input_ids"].shape[1]
        starts = [len(rows[i].prompt.ids) for i in chunk]
        keep = width - min(starts) + 1
        with torch.no_grad():
            logits = self._model(**inputs, use_cache=False, logits_to_keep=keep).logits
        found = {}
        for place, index in enumerate(chunk):
            first = starts[place] - 1 - (width - keep)
            steps = logits[place, first : first + len(tails[index])]
            found[index] = log_probabilities(steps, tails[index])
        return found

    def _shared(
        self, rows: list[ScoredText], tails: list[list[int]], chunk: Sequence[int]
    ) -> dict[int, list[float]]:
        """The common prompt once, then all texts from its cache."""
        tried = chunk[:2]
        shares = self._sharing.verify(
            lambda: self._from_cache(rows, tails, tried), lambda: self.plain(rows, tails, tried)
        )
        self.passes += 1
        if not shares:
            return self.plain(rows, tails, chunk)
        self.reused_tokens += (len(chunk) - 1) * len(rows[chunk[0]].prompt.ids)
        return self._from_cache(rows, tails, chunk)

    def _from_cache(
        self, rows: list[ScoredText], tails: list[list[int]], chunk: Sequence[int]
    ) -> dict[int, list[float]]:
        prompt = rows[chunk[0]].prompt
        with torch.no_grad():
            start = self._model(
                **stack_prompts([prompt], pad_id=0, side="right"), use_cache=True, logits_to_keep=1
            )
            cache = start.past_key_values
            cache.batch_repeat_interleave(len(chunk))
            longest = max(len(tails[i]) for i in chunk)
            ids = prompt.ids.new_zeros(len(chunk), longest)
            mask = prompt.ids.new_zeros(len(chunk), len(prompt.ids) + longest)
            for place, index in enumerate(chunk):
                ids[place, : len(tails[index])] = ids.new_tensor(tails[index])
                mask[place, : len(prompt.ids) + len(tails[index])] = 1
            more = {
                name: value.new_full(ids.shape, prompt.written[name])
                for name, value in prompt.per_token.items()
            }
            logits = self._model(
                input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
            ).logits
        found = {}
        for place, index in enumerate(chunk):
            steps = torch.cat([start.logits[0, -1:], logits[place, : len(tails[index]) - 1]])
            found[index] = log_probabilities(steps, tails[index])
        return found


def log_probabilities(logits: Tensor, ids: Sequence[int]) -> list[float]:
    """Log-probabilities of `ids` under `logits` (tokens, vocabulary)."""
    chosen = torch.tensor(list(ids), device=logits.device)[:, None]
    values: list[float] = torch.log_softmax(logits.float(), dim=-1).gather(1, chosen)[:, 0].tolist()
    return values
