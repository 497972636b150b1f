"""Teacher-forced log-probabilities of given texts under the model, token by token.

A text is scored as the assistant's turn: the prompt ends where the assistant's answer begins, and
the text is tokenised separately from it, because generation starts at the same boundary. Control
tokens spelled out in the text are scored as plain characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product

from imc_agents.chat.decoding import NOT_FINITE
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prefix_store import Prefix, PrefixStore
from imc_agents.chat.prompt_tokens import PromptEncoder
from imc_agents.chat.scores import TextScore
from imc_agents.chat.text_passes import MAX_LOGITS, MAX_TOKENS, PlainPasses, ScoredText
from imc_agents.chat.token_tree import (
    TokenTree,
    build_trees,
    common_prefix_length,
    is_windowed,
    score_trees,
    supports_trees,
)
from imc_agents.chat.verified_fast_path import VerifiedFastPath
from imc_agents.errors import ModelRefused, QuestionRefused
from imc_core.memory import MemoryBound

__all__ = ["TextScorer"]

_CPU_TOKENS = 2 * 1024
"""Most tokens of one pass over trees on a CPU: more exceed its caches and are no faster."""
_PASS_SHARE = 8
"""Fixed cost of a pass: one part in so many of the cost of the largest pass. For the embedded model
on one core 4 of 150 ms; on a GPU, which a small model leaves partly idle, more."""


_TRIED = 64
"""Texts of one prompt among which a branching pair is looked for, the longest first."""


class TextScorer:
    """Scores texts under prompts, batched.

    Args:
        encoder: tokenises; holds model and processor.
        prefixes: holds the beginnings of its prompts.
    """

    def __init__(self, encoder: PromptEncoder, prefixes: PrefixStore | None = None) -> None:
        self._encoder = encoder
        self._model = encoder.model
        self._tokenizer = encoder.processor.tokenizer
        self._prefixes = prefixes if prefixes is not None else PrefixStore(encoder.model)
        self._plain = PlainPasses(encoder.model, self._prefixes.release)
        self._tree_paths = {kind: VerifiedFastPath() for kind in product((False, True), repeat=3)}
        self._tree_passes = 0
        self._reused_in_trees = 0
        self._memory = MemoryBound(self._prefixes.release)

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
        gives the same numbers that way (verified once for prompts with an image and without, that
        are divided and whole, and that an attention window cuts). What a prompt begins with is held
        for the next call.

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
        # A single prompt is an agent's own, that does not change: it is held as a whole.
        whole = len(groups) == 1 and not ending
        logprobs: dict[int, list[float]] = {}
        trees: list[TokenTree] = []
        left: dict[tuple[str, str], list[int]] = {}
        for key, members in groups.items():
            split = self._split(rows, tails, members, whole=whole)
            if split is None:
                left[key] = members
            else:
                own = {index: tails[index] for index in members}
                trees += build_trees(rows[members[0]].prompt, own, split)
        logprobs.update(self._by_trees(trees, dict(enumerate(tails))))
        logprobs.update(self._plain.logprobs(rows, tails, left))
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

    def _split(
        self,
        rows: list[ScoredText],
        tails: list[list[int]],
        members: list[int],
        *,
        whole: bool,
    ) -> int | None:
        """After how many tokens the prompt of some texts is divided; None: no trees.

        Args:
            rows: all texts.
            tails: token ids to score after each row's prompt.
            members: indices of those of one prompt.
            whole: whether the prompt is computed as a whole, where both are possible.
        """
        prompt = rows[members[0]].prompt
        tokens = len(prompt.ids) + max(len(tails[index]) for index in members)
        if not supports_trees(self._model, tokens):
            return None
        at = 0 if whole else prompt.split(self._model.config.image_token_id)
        for split in (at, len(prompt.ids)) if at else (len(prompt.ids),):
            kind = (prompt.features is not None, split == at, is_windowed(self._model, tokens))
            path = self._tree_paths[kind]
            tried = _branching(tails, members) if path.agrees is None else []
            if path.verify(
                partial(self._tried, prompt, split, tails, tried),
                partial(self._plain.plain, rows, tails, tried),
            ):
                return split
        return None

    def _tried(
        self, prompt: EncodedPrompt, split: int, tails: list[list[int]], tried: list[int]
    ) -> dict[int, list[float]]:
        texts = {index: tails[index] for index in tried}
        trees = build_trees(prompt, texts, split)
        return score_trees(self._model, trees, self._beginnings(trees), texts)

    def _beginnings(self, trees: Sequence[TokenTree]) -> list[Prefix]:
        whole = any(tree.split == len(tree.prompt.ids) for tree in trees)
        return self._prefixes.get(
            [tree.prompt.beginning(tree.split) for tree in trees], logits=whole
        )

    def _by_trees(
        self, trees: list[TokenTree], texts: dict[int, list[int]]
    ) -> dict[int, list[float]]:
        """Scores of all texts from trees; trees of similar length are computed in one pass."""
        found: dict[int, list[float]] = {}
        by_split: dict[int, list[TokenTree]] = {}
        for tree in trees:
            by_split.setdefault(tree.split, []).append(tree)

        def scored(part: Sequence[TokenTree]) -> dict[int, list[float]]:
            return score_trees(self._model, part, self._beginnings(part), texts)

        for some in by_split.values():
            some.sort(key=_length)
            for chunk in self._in_passes(some):
                computed = self._prefixes.computed_tokens
                for _, scores in self._memory.run(chunk, scored, size=_padded_tokens):
                    found.update(scores)
                    self._tree_passes += 1
                computed = self._prefixes.computed_tokens - computed
                computed += sum(tree.length for tree in chunk)
                self._reused_in_trees += sum(tree.whole_length for tree in chunk) - computed
        return found

    def _in_passes(self, trees: Sequence[TokenTree]) -> Iterator[list[TokenTree]]:
        """Divide trees, sorted by length, into passes within the limits of tokens and logits.

        Trees of one pass are padded to the longest. The division with the least cost of padded
        tokens and passes is found by dynamic programming.
        """
        vocabulary = self._model.config.get_text_config().vocab_size
        most = _CPU_TOKENS if self._model.device.type == "cpu" else MAX_TOKENS
        costs, cuts = [0], [0]
        for end, tree in enumerate(trees, start=1):
            longest = 1 + tree.length  # the beginning's next token is one more
            attended = longest + tree.split
            held = max(vocabulary, attended) * longest
            widest = max(1, min(most // longest, MAX_TOKENS // attended, MAX_LOGITS // held))
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
    return len(trees) * max(tree.split + tree.length for tree in trees)


def _branching(tails: list[list[int]], members: list[int]) -> list[int]:
    """Two texts that begin alike and go on differently, or one where there are none."""
    first, *others = sorted(members, key=lambda index: (-len(tails[index]), index))[:_TRIED]

    def alike(index: int) -> int:
        return common_prefix_length(tails[first], tails[index])

    best = max(others, key=alike, default=first)
    return [first, best] if best != first and alike(best) else [first]
