"""Log-probabilities of many texts after one prompt, as prefix trees: common prefixes computed once.

The alternatives of one question differ in a word or two. They are packed into one sequence in which
each token attends to the prompt and to the earlier tokens of its own text only, so that a prefix
costs one token however many texts share it (tree attention, as in SpecInfer: Miao et al. 2024).
The prompt, or its lasting beginning, comes from a `PrefixStore`: the model's own pass over it, with
the family's positions and masks. After it, tokens have explicit positions, equal on all axes, and
explicit masks, one a kind of layer where some layers have an attention window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prefix_store import Prefix, cache_of

__all__ = [
    "TokenTree",
    "build_trees",
    "common_prefix_length",
    "is_windowed",
    "score_trees",
    "supports_trees",
]

MAX_TREE_TOKENS = 192
"""Most tokens of texts in one sequence: up to here attention costs little beside the rest of a
small model, and the prompt is repeated in few sequences."""
_KINDS = {"full_attention", "sliding_attention"}
"""Kinds of layers that `layer_types` of a config names and that a mask can serve."""


@dataclass
class TokenTree:
    """A prompt and texts that branch after it, as one sequence.

    Attributes:
        prompt: what all of them follow.
        split: tokens of the prompt that are computed apart, as its beginning.
        tokens: one token for each distinct beginning of a text, parents before children.
        parents: index into `tokens` of what comes before each; -1 for the prompt.
        steps: for each text (its index in the caller's list), where each of its tokens is
            predicted: index into `tokens` of the token before it, -1 for the prompt.
    """

    prompt: EncodedPrompt
    split: int = 0
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    steps: dict[int, list[int]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens of the sequence after the beginning."""
        return len(self.prompt.ids) - self.split + len(self.tokens)

    @property
    def whole_length(self) -> int:
        """Tokens that separate sequences of its texts would hold."""
        prompt = len(self.prompt.ids) - 1  # each text's first step is the prompt's last token
        return sum(prompt + len(steps) for steps in self.steps.values())


def supports_trees(model: Any, tokens: int) -> bool:
    """Whether explicit positions and masks can say what the model attends to over so many tokens.

    They cannot where attention is in chunks and the text is longer than one, nor where a window
    cuts the text and some layers are of another kind than with and without a window.

    Args:
        model: the model.
        tokens: of the longest prompt with its text.
    """
    config = model.config.get_text_config()
    chunk = getattr(config, "attention_chunk_size", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    return (chunk is None or tokens <= int(chunk)) and (
        kinds <= _KINDS or not is_windowed(model, tokens)
    )


def is_windowed(model: Any, tokens: int) -> bool:
    """Whether an attention window cuts a sequence of so many tokens."""
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    return window is not None and tokens > int(window)


def build_trees(
    prompt: EncodedPrompt, texts: dict[int, list[int]], split: int = 0
) -> list[TokenTree]:
    """Prefix trees of the texts of one prompt.

    A tree has at most `MAX_TREE_TOKENS` tokens, or as many as the prompt if that is longer.

    Args:
        prompt: the prompt.
        texts: token ids of each text, by index.
        split: tokens of the prompt that are computed apart.

    Returns:
        Trees that hold each text once. The last token of a text is predicted, not an input.
    """
    most = max(MAX_TREE_TOKENS, len(prompt.ids))
    trees: list[TokenTree] = []
    last: list[int] = []
    path: list[int] = []  # index in its tree of each token of the last text
    for index, ids in sorted(texts.items(), key=lambda one: one[1]):  # common prefixes adjacent
        same = min(common_prefix_length(ids, last), len(path), len(ids) - 1)
        if not trees or len(trees[-1].tokens) + len(ids) - 1 - same > most and trees[-1].tokens:
            trees.append(TokenTree(prompt, split))
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
    model: Any,
    trees: Sequence[TokenTree],
    prefixes: Sequence[Prefix],
    texts: dict[int, list[int]],
) -> dict[int, list[float]]:
    """Log-probabilities of every token of the trees' texts, in one forward pass.

    Args:
        model: the model.
        trees: padded to the longest of them.
        prefixes: the beginning of each one's prompt, all of one length; with the logits of the
            token that comes next where that is the whole prompt.
        texts: token ids of each text, by index.
    """
    width, split = max(tree.length for tree in trees), trees[0].split
    rest = min(len(tree.prompt.ids) for tree in trees) - split
    skipped = max(0, rest - 1)  # of each prompt's rest only the last token predicts a text's
    device = model.device
    steps: list[Tensor] = []
    offset = -skipped
    if not rest:
        offset = 1
        steps.append(torch.stack([_logits(prefix) for prefix in prefixes])[:, None].to(device))
    if width:
        ids = np.zeros((len(trees), width), np.int64)
        places = np.zeros((len(trees), width), np.int64)
        attends = np.zeros((len(trees), width, split + width), np.bool_)
        for row, tree in enumerate(trees):
            _fill(tree, ids[row], places[row], attends[row])
        shifts = np.array([prefix.position - split for prefix in prefixes])
        with torch.no_grad():
            logits = model(
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=_masks(model, attends, places, split),
                position_ids=torch.from_numpy(places + shifts[:, None]).to(device),
                past_key_values=cache_of(prefixes),
                use_cache=True,
                logits_to_keep=width - skipped,
            ).logits
        steps.append(logits)
    logits = torch.cat([one.float() for one in steps], dim=1)
    return _read_off(logits, trees, texts, offset)


def _logits(prefix: Prefix) -> Tensor:
    if prefix.logits is None:
        raise ValueError("the beginning was computed without its next token")
    return prefix.logits


def _read_off(
    logits: Tensor, trees: Sequence[TokenTree], texts: dict[int, list[int]], offset: int
) -> dict[int, list[float]]:
    """Log-probabilities by text.

    Args:
        logits: (trees, steps, vocabulary).
        trees: the trees.
        texts: token ids of each text, by index.
        offset: step of a sequence's first token.
    """
    rows: list[int] = []
    places: list[int] = []
    tokens: list[int] = []
    for row, tree in enumerate(trees):
        begin = len(tree.prompt.ids) - tree.split + offset
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


def _masks(
    model: Any, attends: NDArray[np.bool_], places: NDArray[np.int64], split: int
) -> Tensor | dict[str, Tensor]:
    """Additive attention masks (rows, 1, tokens, beginning and tokens).

    One for all layers, or one by kind of layer where a window cuts some of them.

    Args:
        model: the model.
        attends: what each token attends to without a window, (rows, tokens, beginning and tokens).
        places: of each token in its own text, (rows, tokens).
        split: tokens of the beginning.
    """

    dtype = model.get_input_embeddings().weight.dtype  # a quantised model's own may be another

    def additive(allowed: NDArray[np.bool_]) -> Tensor:
        mask = torch.zeros((len(allowed), 1, *allowed.shape[1:]), dtype=dtype)
        mask.masked_fill_(~torch.from_numpy(allowed)[:, None], torch.finfo(dtype).min)
        return mask.to(model.device)

    config = model.config.get_text_config()
    if not is_windowed(model, int(places.max()) + 1):
        return additive(attends)
    window = int(config.sliding_window)
    begin = np.broadcast_to(np.arange(split), (len(places), split))
    keys = np.concatenate([begin, places], axis=1)
    near = attends & (places[:, :, None] - keys[:, None, :] < window)
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds:
        return additive(near)
    masks = {"full_attention": attends, "sliding_attention": near}
    return {kind: additive(masks[kind]) for kind in sorted(kinds)}


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
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
    places: NDArray[np.int64],
    attends: NDArray[np.bool_],
) -> None:
    """Write one sequence.

    Tokens and their places in their own text, (width,); attention, (width, split + width).
    """
    split, length = tree.split, tree.length
    prompt = len(tree.prompt.ids) - split  # what is left of it
    ids[:prompt] = tree.prompt.ids[split:].cpu().numpy()
    ids[prompt:length] = tree.tokens
    places[:prompt] = np.arange(split, split + prompt)
    attends[:length, :split] = True
    attends[:prompt, split : split + prompt] = np.tri(prompt, dtype=np.bool_)
    for at, parent in enumerate(tree.parents, start=prompt):
        before = prompt + parent  # of -1: the prompt's last token, which may be in the beginning
        if before >= 0:
            attends[at] = attends[before]
        attends[at, split + at] = True
        places[at] = places[before] + 1 if before >= 0 else split
    rest = np.arange(length, len(ids))
    attends[rest, split + rest] = True  # padding attends to itself: an empty row would give NaN
    places[rest] = split
