"""Teacher-forced log-probabilities of given texts under the model, token by token.

A text is scored as the assistant's turn: the prompt ends where the assistant's answer begins, and
the text is tokenised separately from it, because generation starts at the same boundary. Control
tokens spelled out in the text are scored as plain characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from imc_agents.chat.decoding import NOT_FINITE
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_tokens import PromptEncoder
from imc_agents.chat.scores import TextScore
from imc_agents.chat.text_passes import MAX_LOGITS, MAX_TOKENS, PlainPasses, ScoredText
from imc_agents.chat.token_tree import TokenTree, build_trees, score_trees, supports_trees
from imc_agents.chat.verified_fast_path import VerifiedFastPath
from imc_agents.errors import ModelRefused, QuestionRefused
from imc_core.memory import MemoryBound

__all__ = ["TextScorer"]

_CPU_TOKENS = 2 * 1024
"""Most tokens of one pass over trees on a CPU: more exceed its caches and are no faster."""
_PASS_SHARE = 8
"""Fixed cost of a pass: one part in so many of the cost of the largest pass. For the embedded model
on one core 4 of 150 ms; on a GPU, which a small model leaves partly idle, more."""


class TextScorer:
    """Scores texts under prompts, batched.

    Args:
        encoder: tokenises; holds model and processor.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        self._model = encoder.model
        self._tokenizer = encoder.processor.tokenizer
        self._plain = PlainPasses(encoder.model)
        self._tree_path = VerifiedFastPath()
        self._tree_passes = 0
        self._reused_in_trees = 0
        self._memory = MemoryBound(torch.cuda.empty_cache)

    @property
    def reused_tokens(self) -> int:
        """Tokens of prompts and texts so far that one computation served several texts for."""
        return self._reused_in_trees + self._plain.reused_tokens

    @property
    def passes(self) -> int:
        """Batched forward passes made so far (a shared prefix and the texts after it are one)."""
        return self._tree_passes + self._plain.passes

    def score(
        self, items: Sequence[tuple[EncodedPrompt, str]], *, ending: bool = False
    ) -> list[TextScore]:
        """Score each text as the assistant's turn after its prompt.

        Items with one prompt share its computation and their common prefixes, where the model
        gives the same numbers that way (verified once per model).

        Args:
            items: prompts and texts.
            ending: also score the token that ends the turn.

        Raises:
            OutOfMemory: not even one text fits.
            QuestionRefused: an empty text, or prompt and text exceed the model's context.
            ModelRefused: the model's scores are not finite.
        """
        rows = self._rows(items)
        end_id = self._encoder.renderer.turn_end if ending else None
        tails = [row.ids if end_id is None else [*row.ids, end_id] for row in rows]
        groups: dict[tuple[str, str], list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(row.prompt.key, []).append(index)
        if self._use_trees(rows, tails, groups):
            logprobs = self._by_trees(rows, tails, groups)
        else:
            logprobs = self._plain.logprobs(rows, tails, groups)
        return [
            self._text_score(row, logprobs[index], scored_end=end_id is not None)
            for index, row in enumerate(rows)
        ]

    def _rows(self, items: Sequence[tuple[EncodedPrompt, str]]) -> list[ScoredText]:
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
            rows.append(ScoredText(prompt, text, ids, spans))
        return rows

    @staticmethod
    def _text_score(row: ScoredText, logprobs: list[float], *, scored_end: bool) -> TextScore:
        if any(math.isnan(value) for value in logprobs):
            raise ModelRefused(NOT_FINITE)
        own = logprobs[:-1] if scored_end else logprobs
        return TextScore(
            row.text, tuple(row.spans), tuple(own), logprobs[-1] if scored_end else None
        )

    def _use_trees(
        self, rows: list[ScoredText], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> bool:
        if self._tree_path.agrees is False or not groups:
            return False
        for members in groups.values():
            longest = max(len(tails[index]) for index in members)
            if not supports_trees(self._model, rows[members[0]].prompt, longest):
                return False
        tried = next(iter(groups.values()))[:4]
        texts = {index: tails[index] for index in tried}
        return self._tree_path.verify(
            lambda: score_trees(self._model, build_trees(rows[tried[0]].prompt, texts), texts),
            lambda: self._plain.plain(rows, tails, tried),
        )

    def _by_trees(
        self, rows: list[ScoredText], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> dict[int, list[float]]:
        """Scores of all texts from trees; trees of similar length are computed in one pass."""
        texts = dict(enumerate(tails))
        trees: list[TokenTree] = []
        for members in groups.values():
            own = {index: tails[index] for index in members}
            trees += build_trees(rows[members[0]].prompt, own)
        trees.sort(key=_length)
        found: dict[int, list[float]] = {}
        for chunk in self._in_passes(trees):
            scored = self._memory.run(
                chunk, lambda part: score_trees(self._model, part, texts), size=_padded_tokens
            )
            for part, scores in scored:
                found.update(scores)
                self._tree_passes += 1
                self._reused_in_trees += sum(tree.reused_tokens for tree in part)
        return found

    def _in_passes(self, trees: Sequence[TokenTree]) -> Iterator[list[TokenTree]]:
        """Divide trees, sorted by length, into passes within the limits of tokens and logits.

        Trees of one pass are padded to the longest. The division with the least cost of padded
        tokens and passes is found by dynamic programming.
        """
        vocabulary = self._model.config.get_text_config().vocab_size
        most = _CPU_TOKENS if self._model.device.type == "cpu" else MAX_TOKENS
        costs, cuts = [0], [0]
        for end, longest in enumerate((tree.length for tree in trees), start=1):
            widest = max(1, min(most, MAX_LOGITS // max(vocabulary, longest)) // longest)
            costs_here = {
                begin: costs[begin] + (end - begin) * longest + most // _PASS_SHARE
                for begin in range(max(0, end - widest), end)
            }
            cuts.append(min(costs_here, key=costs_here.__getitem__))
            costs.append(costs_here[cuts[-1]])
        end = len(trees)
        while end:
            yield list(trees[cuts[end] : end])
            end = cuts[end]


def _length(tree: TokenTree) -> int:
    return tree.length


def _padded_tokens(trees: Sequence[TokenTree]) -> int:
    return len(trees) * max(tree.length for tree in trees)
