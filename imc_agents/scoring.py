"""Teacher-forced scores: how probable the model finds a given text, token by token.

The assistant's turn is scored as the model would write it: the prompt ends where the assistant
begins, and the text is tokenised on its own from there (not jointly with the prompt), because that
is the boundary at which generation starts too. Control tokens spelled out in the text are scored
as plain characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imc_agents.encoded_prompt import EncodedPrompt
from imc_agents.errors import QuestionRefused
from imc_agents.prompt_batches import stack_prompts
from imc_agents.prompt_tokens import PromptEncoder
from imc_agents.scores import TextScore
from imc_agents.token_tree import TokenTree, can_branch, plant, score_trees

__all__ = ["TextScorer"]

# Logits of one pass: rows x scored tokens x vocabulary, in float32. 64 Mi values are 256 MB.
_MAX_LOGITS = 64 * 1024**2
_MAX_TOKENS = 32 * 1024
# Tokens of one pass over trees on a CPU: more leave its caches and are no faster.
_CPU_TOKENS = 2 * 1024
# Shared-prefix scoring costs a second pass; below this many saved tokens it does not pay.
_WORTH_SHARING = 512
_SHARING_TOLERANCE = 1e-2  # nats a token; float32 agrees to 1e-5, bfloat16 to a few 1e-3


@dataclass
class _Row:
    """One text to score after its prompt."""

    prompt: EncodedPrompt
    text: str
    ids: list[int]
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
        # Unknown until the first texts were scored both ways:
        self._shares: bool | None = None
        self._branches: bool | None = None
        self.passes = 0

    def score(
        self, items: Sequence[tuple[EncodedPrompt, str]], *, ending: bool = False
    ) -> list[TextScore]:
        """Score each text as the assistant's turn after its prompt.

        Items with one prompt share its computation, and their own beginnings, where the model
        gives the same numbers that way (checked once per model).

        Args:
            items: prompts and texts.
            ending: also score the token that ends the turn.

        Raises:
            QuestionRefused: an empty text, or prompt and text exceed the model's context.
        """
        rows = self._rows(items)
        end_id = self._encoder.renderer.turn_end if ending else None
        tails = [row.ids if end_id is None else [*row.ids, end_id] for row in rows]
        groups: dict[tuple[str, str], list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(row.prompt.key, []).append(index)
        if self._may_branch(rows, tails, groups):
            logprobs = self._branched(rows, tails, groups)
        else:
            logprobs = self._straight(rows, tails, groups)
        return [
            self._text_score(row, logprobs[index], scored_end=end_id is not None)
            for index, row in enumerate(rows)
        ]

    def _rows(self, items: Sequence[tuple[EncodedPrompt, str]]) -> list[_Row]:
        if any(not text for _, text in items):
            raise QuestionRefused("nothing to score, the text is empty: give at least a character")
        if not items:
            return []
        encoded = self._tokenizer(
            [text for _, text in items],
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        rows = []
        limit = self._encoder.context_tokens
        for (prompt, text), ids, spans in zip(
            items, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            if limit is not None and len(prompt.ids) + len(ids) + 1 > limit:
                raise QuestionRefused(
                    f"prompt and text take {len(prompt.ids) + len(ids)} tokens, the model reads "
                    f"{limit}: shorten the text"
                )
            rows.append(_Row(prompt, text, ids, spans))
        return rows

    @staticmethod
    def _text_score(row: _Row, logprobs: list[float], *, scored_end: bool) -> TextScore:
        own = logprobs[:-1] if scored_end else logprobs
        return TextScore(
            row.text, tuple(row.spans), tuple(own), logprobs[-1] if scored_end else None
        )

    # -- texts as trees -------------------------------------------------------------------------

    def _may_branch(
        self, rows: list[_Row], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> bool:
        if self._branches is False:
            return False
        for members in groups.values():
            longest = max(len(tails[index]) for index in members)
            if not can_branch(self._model, rows[members[0]].prompt, longest):
                return False
        if self._branches is None and groups:
            self._branches = self._trees_agree(rows, tails, next(iter(groups.values()))[:4])
        return self._branches is True

    def _branched(
        self, rows: list[_Row], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> dict[int, list[float]]:
        """All texts from trees, those of like length in one pass."""
        texts = dict(enumerate(tails))
        trees = [
            tree
            for members in groups.values()
            for tree in plant(rows[members[0]].prompt, {index: tails[index] for index in members})
        ]
        trees.sort(key=_length)
        found: dict[int, list[float]] = {}
        for chunk in self._tree_passes(trees):
            found.update(score_trees(self._model, chunk, texts))
            self.passes += 1
        return found

    def _tree_passes(self, trees: Sequence[TokenTree]) -> Iterator[list[TokenTree]]:
        """Trees, the shortest first, in passes within the memory for tokens, masks and logits."""
        vocabulary = self._model.config.get_text_config().vocab_size
        most = _CPU_TOKENS if self._model.device.type == "cpu" else _MAX_TOKENS
        chunk: list[TokenTree] = []
        for tree in trees:
            tokens = (len(chunk) + 1) * tree.length
            if chunk and (tokens > most or tokens * max(vocabulary, tree.length) > _MAX_LOGITS):
                yield chunk
                chunk = []
            chunk.append(tree)
        if chunk:
            yield chunk

    def _trees_agree(self, rows: list[_Row], tails: list[list[int]], members: list[int]) -> bool:
        """Whether trees give what whole passes give, for this model."""
        texts = {index: tails[index] for index in members}
        try:
            branched = score_trees(self._model, plant(rows[members[0]].prompt, texts), texts)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False  # an attention that takes no mask of this shape
        return self._same(branched, self._plain(rows, tails, members))

    # -- texts one by one -----------------------------------------------------------------------

    def _straight(
        self, rows: list[_Row], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> dict[int, list[float]]:
        """Each text by itself, after a prompt that is shared where that pays."""
        found: dict[int, list[float]] = {}
        alone: list[int] = []
        for members in groups.values():
            if not self._worth_sharing(rows, members):
                alone += members
                continue
            for chunk in self._chunks(rows, members, shared=True):
                found.update(self._shared(rows, tails, chunk))
        for chunk in self._chunks(rows, sorted(alone), shared=False):
            found.update(self._plain(rows, tails, chunk))
            self.passes += 1
        return found

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
        self, rows: list[_Row], tails: list[list[int]], chunk: list[int]
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
            found[index] = _gather(steps, tails[index])
        return found

    def _shared(
        self, rows: list[_Row], tails: list[list[int]], chunk: list[int]
    ) -> dict[int, list[float]]:
        """The common prompt once, then all texts from its cache."""
        if self._shares is None:
            self._shares = self._cache_agrees(rows, tails, chunk[:2])
        self.passes += 1
        if not self._shares:
            return self._plain(rows, tails, chunk)
        return self._from_cache(rows, tails, chunk)

    def _cache_agrees(self, rows: list[_Row], tails: list[list[int]], chunk: list[int]) -> bool:
        """Whether continuing from the cache gives what whole passes give, for this model."""
        if getattr(self._model.base_model, "rope_deltas", self) is not self:
            return False  # positions depend on state of the last prompt inside the model
        try:
            cached = self._from_cache(rows, tails, chunk)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False  # a cache of another kind, or a forward that cannot continue from one
        return self._same(cached, self._plain(rows, tails, chunk))

    @staticmethod
    def _same(found: dict[int, list[float]], plain: dict[int, list[float]]) -> bool:
        return all(
            abs(a - b) <= _SHARING_TOLERANCE
            for index, values in plain.items()
            for a, b in zip(found[index], values, strict=True)
        )

    def _from_cache(
        self, rows: list[_Row], tails: list[list[int]], chunk: list[int]
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
            found[index] = _gather(steps, tails[index])
        return found


def _gather(logits: Tensor, ids: list[int]) -> list[float]:
    """Log-probabilities of `ids` under `logits` (tokens, vocabulary)."""
    chosen = torch.tensor(ids, device=logits.device)[:, None]
    values: list[float] = torch.log_softmax(logits.float(), dim=-1).gather(1, chosen)[:, 0].tolist()
    return values


def _length(tree: TokenTree) -> int:
    return tree.length
