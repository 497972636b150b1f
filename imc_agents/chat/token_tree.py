"""Log-probabilities of many texts after one prompt, as prefix trees: common prefixes computed once.

The alternatives of one question differ in a word or two. They are packed into one sequence in which
each token attends to the prompt and to the earlier tokens of its own text only, so that a prefix
costs one token however many texts share it (tree attention, as in SpecInfer: Miao et al. 2024).
Padding is needed only between whole sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imc_agents.chat.encoded_prompt import EncodedPrompt

__all__ = ["TokenTree", "build_trees", "score_trees", "supports_trees"]

MAX_TREE_TOKENS = 192
"""Most tokens of texts in one sequence: up to here attention costs little beside the rest of a
small model, and the prompt is repeated in few sequences."""


@dataclass
class TokenTree:
    """A prompt and texts that branch after it, as one sequence.

    Attributes:
        prompt: what all of them follow.
        tokens: one token for each distinct beginning of a text, parents before children.
        parents: index into `tokens` of what comes before each; -1 for the prompt.
        steps: for each text (its index in the caller's list), where each of its tokens is
            predicted: index into `tokens` of the token before it, -1 for the prompt.
    """

    prompt: EncodedPrompt
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    steps: dict[int, list[int]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens of the whole sequence."""
        return len(self.prompt.ids) + len(self.tokens)

    @property
    def reused_tokens(self) -> int:
        """Tokens that separate sequences of its texts would hold besides."""
        prompt = len(self.prompt.ids) - 1  # each text's first step is the prompt's last token
        return sum(prompt + len(steps) for steps in self.steps.values()) - self.length


def supports_trees(model: Any, prompt: EncodedPrompt, longest: int) -> bool:
    """Whether tokens, positions and a mask determine the model's outputs after this prompt.

    They do not with images, token types, or an attention window shorter than the text, nor for
    models whose positions depend on the last prompt.

    Args:
        model: the model.
        prompt: the prompt.
        longest: tokens of the longest text after it.
    """
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    return (
        prompt.features is None
        and not prompt.per_token
        and not prompt.per_image
        and not hasattr(model.base_model, "rope_deltas")
        and (window is None or len(prompt.ids) + longest <= window)
    )


def build_trees(prompt: EncodedPrompt, texts: dict[int, list[int]]) -> list[TokenTree]:
    """Prefix trees of the texts of one prompt.

    A tree has at most `MAX_TREE_TOKENS` tokens, or as many as the prompt if that is longer.

    Args:
        prompt: the prompt.
        texts: token ids of each text, by index.

    Returns:
        Trees that hold each text once. The last token of a text is predicted, not an input.
    """
    most = max(MAX_TREE_TOKENS, len(prompt.ids))
    trees: list[TokenTree] = []
    last: list[int] = []
    path: list[int] = []  # index in its tree of each token of the last text
    for index, ids in sorted(texts.items(), key=lambda one: one[1]):  # common prefixes adjacent
        same = min(_common_prefix_length(ids, last), len(path), len(ids) - 1)
        if not trees or len(trees[-1].tokens) + len(ids) - 1 - same > most and trees[-1].tokens:
            trees.append(TokenTree(prompt))
            same = 0
        tree = trees[-1]
        del path[same:]
        for token in ids[same:-1]:
            tree.parents.append(path[-1] if path else -1)
            path.append(len(tree.tokens))
            tree.tokens.append(token)
        tree.steps[index] = [-1, *path]
        last = ids
    return trees


def score_trees(
    model: Any, trees: Sequence[TokenTree], texts: dict[int, list[int]]
) -> dict[int, list[float]]:
    """Log-probabilities of every token of the trees' texts, in one forward pass.

    Args:
        model: the model.
        trees: padded to the longest of them.
        texts: token ids of each text, by index.
    """
    width = max(tree.length for tree in trees)
    ids = np.zeros((len(trees), width), np.int64)
    positions = np.zeros((len(trees), width), np.int64)
    attends = np.zeros((len(trees), width, width), np.bool_)
    for row, tree in enumerate(trees):
        _fill(tree, ids[row], positions[row], attends[row])
    first = min(len(tree.prompt.ids) for tree in trees) - 1
    device = model.device
    mask = torch.zeros((len(trees), 1, width, width), dtype=model.dtype, device=device)
    mask.masked_fill_(~torch.from_numpy(attends)[:, None].to(device), torch.finfo(model.dtype).min)
    with torch.no_grad():
        logits = model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=mask,
            position_ids=torch.from_numpy(positions).to(device),
            use_cache=False,
            logits_to_keep=width - first,
        ).logits.float()
    rows: list[int] = []
    places: list[int] = []
    tokens: list[int] = []
    for row, tree in enumerate(trees):
        begin = len(tree.prompt.ids) - first
        for index, steps in tree.steps.items():
            rows += [row] * len(steps)
            places += [begin + step for step in steps]
            tokens += texts[index]
    found = logits[rows, places, tokens] - torch.logsumexp(logits, dim=-1)[rows, places]
    values = iter(found.tolist())
    scored: dict[int, list[float]] = {}
    for tree in trees:
        for index, steps in tree.steps.items():
            scored[index] = [next(values) for _ in steps]
    return scored


def _common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    same = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        same += 1
    return same


def _fill(
    tree: TokenTree,
    ids: NDArray[np.int64],
    positions: NDArray[np.int64],
    attends: NDArray[np.bool_],
) -> None:
    """Write one sequence: tokens and positions (width,), attention mask (width, width)."""
    prompt, length = len(tree.prompt.ids), tree.length
    ids[:prompt] = tree.prompt.ids.cpu().numpy()
    ids[prompt:length] = tree.tokens
    positions[:prompt] = np.arange(prompt)
    attends[:prompt, :prompt] = np.tri(prompt, dtype=np.bool_)
    for at, parent in enumerate(tree.parents, start=prompt):
        before = prompt + parent  # of -1: the prompt's last token
        attends[at] = attends[before]
        attends[at, at] = True
        positions[at] = positions[before] + 1
    rest = np.arange(length, len(ids))
    attends[rest, rest] = True  # padding attends to itself: an empty row would give NaN
