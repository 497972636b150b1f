"""Teacher-forced scores: how probable the model finds a given text, token by token.

The assistant's turn is scored as the model would write it: the prompt ends where the assistant
begins, and the text is tokenised on its own from there (not jointly with the prompt), because that
is the boundary at which generation starts too. Control tokens spelled out in the text are scored
as plain characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imc_agents.errors import QuestionRefused
from imc_agents.prompt_tokens import EncodedPrompt, PromptEncoder, stack_prompts

__all__ = ["Choice", "TextScore", "TokenScore", "TextScorer", "make_choice"]

# Logits of one pass: rows x scored tokens x vocabulary, in float32. 64 Mi values are 256 MB.
_MAX_LOGITS = 64 * 1024**2
_MAX_TOKENS = 32 * 1024
# Shared-prefix scoring costs a second pass; below this many saved tokens it does not pay.
_WORTH_SHARING = 512
_SHARING_TOLERANCE = 1e-2  # nats a token; float32 agrees to 1e-5, bfloat16 to a few 1e-3


@dataclass(frozen=True)
class TokenScore:
    """One token of a scored text.

    Attributes:
        text: the characters it covers, `text[start:end]` of the scored text.
        start: first character.
        end: one past the last. Tokens that each carry a part of one character (an emoji's bytes)
            all cover that character.
        logprob: natural log-probability given everything before it.
    """

    text: str
    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class TextScore:
    """The model's score of one text.

    Attributes:
        text: what was scored.
        tokens: its tokens in order.
        ending_logprob: log-probability that the turn ends right after; None when it was not asked.
    """

    text: str
    tokens: tuple[TokenScore, ...]
    ending_logprob: float | None = None

    @property
    def logprob(self) -> float:
        """Natural log-probability of the whole text (the end of the turn not counted)."""
        return math.fsum(token.logprob for token in self.tokens)

    @property
    def per_char(self) -> float:
        """`logprob` per character of the text, in nats."""
        return self.logprob / len(self.text)


@dataclass(frozen=True)
class Choice:
    """A probability for each of some fixed options; they add up to 1.

    Attributes:
        options: as they were given.
        probabilities: softmax over the options' log-probabilities, in the same order.
    """

    options: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def best(self) -> str:
        """The most probable option; the first of equals."""
        return self.options[self.probabilities.index(max(self.probabilities))]

    @property
    def probability(self) -> float:
        """The probability of `best`."""
        return max(self.probabilities)


def make_choice(options: Sequence[str], scores: Sequence[TextScore]) -> Choice:
    """Normalise the scores of options to probabilities.

    Each option counts as log p(option, end of turn): a complete answer's probability, so that
    neither a short option nor one that begins another ("no", "normal") has the advantage. No
    length normalisation on top.

    Args:
        options: the options.
        scores: their scores, in the same order.
    """
    totals = torch.tensor(
        [score.logprob + (score.ending_logprob or 0.0) for score in scores], dtype=torch.float64
    )
    return Choice(tuple(options), tuple(torch.softmax(totals, dim=0).tolist()))


@dataclass
class _Row:
    """One text to score after its prompt."""

    prompt: EncodedPrompt
    text: str
    ids: Tensor
    spans: list[tuple[int, int]]


class TextScorer:
    """Scores texts under prompts, batched.

    Args:
        encoder: tokenises; holds model and processor.

    Attributes:
        passes: batched forward passes made so far (a shared prefix and the texts after it are one).
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        self._model = encoder.model
        self._tokenizer = encoder.processor.tokenizer
        self._shares: bool | None = None  # unknown until the first group was scored both ways
        self.passes = 0

    def score(
        self, items: Sequence[tuple[EncodedPrompt, str]], *, ending: bool = False
    ) -> list[TextScore]:
        """Score each text as the assistant's turn after its prompt.

        Items with one prompt share its computation where that pays and where the model's cache
        gives the same numbers (checked once per model).

        Args:
            items: prompts and texts.
            ending: also score the token that ends the turn.

        Raises:
            QuestionRefused: an empty text, or prompt and text exceed the model's context.
        """
        rows = [self._row(prompt, text) for prompt, text in items]
        end_id = self._encoder.renderer.turn_end if ending else None
        tails = [
            row.ids if end_id is None else torch.cat([row.ids, row.ids.new_tensor([end_id])])
            for row in rows
        ]
        logprobs: dict[int, list[float]] = {}
        groups: dict[tuple[str, str], list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(row.prompt.key, []).append(index)
        alone: list[int] = []
        for members in groups.values():
            if not self._worth_sharing(rows, members):
                alone += members
                continue
            for chunk in self._chunks(rows, members, shared=True):
                logprobs.update(self._shared(rows, tails, chunk))
        for chunk in self._chunks(rows, sorted(alone), shared=False):
            logprobs.update(self._plain(rows, tails, chunk))
            self.passes += 1
        return [
            self._text_score(row, logprobs[index], scored_end=end_id is not None)
            for index, row in enumerate(rows)
        ]

    def _row(self, prompt: EncodedPrompt, text: str) -> _Row:
        if not text:
            raise QuestionRefused("nothing to score, the text is empty: give at least a character")
        encoded = self._tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
        )
        ids = torch.tensor(encoded["input_ids"], dtype=torch.long, device=self._model.device)
        limit = self._encoder.context_tokens
        if limit is not None and len(prompt.ids) + len(ids) + 1 > limit:
            raise QuestionRefused(
                f"prompt and text take {len(prompt.ids) + len(ids)} tokens, the model reads "
                f"{limit}: shorten the text"
            )
        return _Row(prompt, text, ids, [(int(a), int(b)) for a, b in encoded["offset_mapping"]])

    @staticmethod
    def _text_score(row: _Row, logprobs: list[float], *, scored_end: bool) -> TextScore:
        tokens = tuple(
            TokenScore(row.text[start:end], start, end, value)
            for (start, end), value in zip(row.spans, logprobs, strict=False)
        )
        return TextScore(row.text, tokens, logprobs[-1] if scored_end else None)

    def _worth_sharing(self, rows: list[_Row], members: list[int]) -> bool:
        saved = (len(members) - 1) * len(rows[members[0]].prompt.ids)
        return self._shares is not False and saved >= _WORTH_SHARING

    def _chunks(self, rows: list[_Row], members: list[int], *, shared: bool) -> list[list[int]]:
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
                count * new_longest > _MAX_TOKENS
                or count * (new_longest - new_shortest) * vocabulary > _MAX_LOGITS
            )
            if first or (too_big and count > 1):
                chunks.append([index])
                longest, shortest = total, prompt
            else:
                chunks[-1].append(index)
                longest, shortest = new_longest, new_shortest
        return chunks

    def _plain(
        self, rows: list[_Row], tails: list[Tensor], chunk: list[int]
    ) -> dict[int, list[float]]:
        """One right-padded pass over whole prompts with their texts."""
        inputs = stack_prompts(
            [rows[i].prompt for i in chunk], [tails[i] for i in chunk], pad_id=0, side="right"
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
            found[index] = _gather(steps, tails[index])
        return found

    def _shared(
        self, rows: list[_Row], tails: list[Tensor], chunk: list[int]
    ) -> dict[int, list[float]]:
        """The common prompt once, then all texts from its cache."""
        if self._shares is None:
            self._shares = self._cache_agrees(rows, tails, chunk[:2])
        self.passes += 1
        if not self._shares:
            return self._plain(rows, tails, chunk)
        return self._from_cache(rows, tails, chunk)

    def _cache_agrees(self, rows: list[_Row], tails: list[Tensor], chunk: list[int]) -> bool:
        """Whether continuing from the cache gives what whole passes give, for this model."""
        if getattr(self._model.base_model, "rope_deltas", self) is not self:
            return False  # positions depend on state of the last prompt inside the model
        try:
            cached = self._from_cache(rows, tails, chunk)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False  # a cache of another kind, or a forward that cannot continue from one
        plain = self._plain(rows, tails, chunk)
        return all(
            abs(a - b) <= _SHARING_TOLERANCE
            for index in chunk
            for a, b in zip(cached[index], plain[index], strict=True)
        )

    def _from_cache(
        self, rows: list[_Row], tails: list[Tensor], chunk: list[int]
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
                ids[place, : len(tails[index])] = tails[index]
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
            found[index] = _gather(steps, tails[index])
        return found


def _gather(logits: Tensor, ids: Tensor) -> list[float]:
    """Log-probabilities of `ids` (tokens,) under `logits` (tokens, vocabulary)."""
    values = torch.log_softmax(logits.float(), dim=-1).gather(1, ids[:, None])[:, 0]
    return [float(value) for value in values]
