"""Teacher-forced scores: how probable the model finds a given text, token by token.

The assistant's turn is scored as the model would write it: the prompt ends where the assistant
begins, and the text is tokenised on its own from there (not jointly with the prompt), because that
is the boundary at which generation starts too. Control tokens spelled out in the text are scored
as plain characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_tokens import PromptEncoder
from imc_agents.chat.scores import TextScore
from imc_agents.chat.text_passes import MAX_LOGITS, MAX_TOKENS, Row, StraightPasses
from imc_agents.chat.token_tree import TokenTree, can_branch, plant, score_trees
from imc_agents.chat.verified_fast_path import VerifiedFastPath
from imc_agents.errors import QuestionRefused

__all__ = ["TextScorer"]

_CPU_TOKENS = 2 * 1024
"""Tokens of one pass over trees on a CPU: more leave its caches and are no faster."""
_PASS_SHARE = 8
"""What a pass costs beside its tokens, as a share of the largest pass: 4 ms of 150 for the
embedded model on one core, and a small model leaves a GPU idle for longer than that."""


class TextScorer:
    """Scores texts under prompts, batched.

    Args:
        encoder: tokenises; holds model and processor.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        self._model = encoder.model
        self._tokenizer = encoder.processor.tokenizer
        self._straight = StraightPasses(encoder.model)
        self._branching = VerifiedFastPath()
        self._tree_passes = 0

    @property
    def passes(self) -> int:
        """Batched forward passes made so far (a shared prefix and the texts after it are one)."""
        return self._tree_passes + self._straight.passes

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
            logprobs = self._straight.logprobs(rows, tails, groups)
        return [
            self._text_score(row, logprobs[index], scored_end=end_id is not None)
            for index, row in enumerate(rows)
        ]

    def _rows(self, items: Sequence[tuple[EncodedPrompt, str]]) -> list[Row]:
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
            rows.append(Row(prompt, text, ids, spans))
        return rows

    @staticmethod
    def _text_score(row: Row, logprobs: list[float], *, scored_end: bool) -> TextScore:
        own = logprobs[:-1] if scored_end else logprobs
        return TextScore(
            row.text, tuple(row.spans), tuple(own), logprobs[-1] if scored_end else None
        )

    def _may_branch(
        self, rows: list[Row], tails: list[list[int]], groups: Mapping[Any, list[int]]
    ) -> bool:
        if self._branching.agrees is False or not groups:
            return False
        for members in groups.values():
            longest = max(len(tails[index]) for index in members)
            if not can_branch(self._model, rows[members[0]].prompt, longest):
                return False
        tried = next(iter(groups.values()))[:4]
        texts = {index: tails[index] for index in tried}
        return self._branching.holds(
            lambda: score_trees(self._model, plant(rows[tried[0]].prompt, texts), texts),
            lambda: self._straight.plain(rows, tails, tried),
        )

    def _branched(
        self, rows: list[Row], tails: list[list[int]], groups: Mapping[Any, list[int]]
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
        for chunk in self._in_passes(trees):
            found.update(score_trees(self._model, chunk, texts))
            self._tree_passes += 1
        return found

    def _in_passes(self, trees: Sequence[TokenTree]) -> Iterator[list[TokenTree]]:
        """Trees, the shortest first, in passes within the memory for tokens, masks and logits.

        Trees of one pass are padded to the longest, so the cuts between passes are laid where
        tokens and passes together cost least (the shortest path over the cuts).
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
