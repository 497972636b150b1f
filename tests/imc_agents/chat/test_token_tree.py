"""Texts scored as trees: the same numbers as one by one, with every beginning computed once."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.token_tree import MAX_TREE_TOKENS, _masks, build_trees
from tests.imc_agents.chat_helpers import asking, tiny_chat

Ids = list[int]


@pytest.fixture(scope="module")
def prompt() -> EncodedPrompt:
    return tiny_chat()._engine.encoder.encode(asking())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(5, 8), min_size=1, max_size=6), min_size=1, max_size=20))
def test_every_text_is_read_off_its_tree_once(prompt: EncodedPrompt, texts: list[Ids]) -> None:
    found: dict[int, Ids] = {}
    for tree in build_trees(prompt, dict(enumerate(texts))):
        for index, steps in tree.steps.items():
            assert index not in found
            assert all(step < 0 or tree.parents[step] == before for before, step in pairs(steps))
            found[index] = [tree.tokens[step] for step in steps if step >= 0]
    assert {index: ids[:-1] for index, ids in enumerate(texts)} == found


def pairs(steps: Ids) -> list[tuple[int, int]]:
    return list(zip(steps, steps[1:], strict=False))


def test_what_texts_begin_with_is_one_token_each(prompt: EncodedPrompt) -> None:
    (tree,) = build_trees(prompt, {0: [5, 6, 7, 9], 1: [5, 6, 8, 9], 2: [5, 6, 7, 4]})
    assert sorted(tree.tokens) == [5, 6, 7, 8]


def test_many_texts_take_several_trees_of_bounded_length(prompt: EncodedPrompt) -> None:
    texts = {index: [5 + index % 7, index, *range(20)] for index in range(60)}
    trees = build_trees(prompt, texts)
    assert len(trees) > 1
    assert all(len(tree.tokens) <= max(MAX_TREE_TOKENS, len(prompt.ids)) for tree in trees)


def test_trees_give_the_scores_of_whole_passes() -> None:
    branched, straight = tiny_chat(), tiny_chat()
    for path in straight._engine._scorer._tree_paths.values():
        path.rule_out()
    items = [
        (asking(asked), text)
        for asked in ("Is there a lesion?", "Which organ?")
        for text in ("yes", "yes, in the left lung", "yes, in the right lung", "no", "é😀")
    ]
    for one, other in zip(branched.score_batch(items), straight.score_batch(items), strict=True):
        assert one.spans == other.spans
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_texts_of_one_prompt_cost_fewer_tokens_than_their_lengths() -> None:
    mine, asked = tiny_chat(), asking()
    texts = [f"there is a lesion in the {side} lung" for side in ("left", "right", "upper")] * 8
    mine.score_batch([(asked, text) for text in texts])  # compares both ways once
    assert tokens_read(mine, asked, texts) < 3 * tokens_read(mine, asked, texts[:1])


def test_short_prompts_are_not_padded_to_a_long_one() -> None:
    chat = tiny_chat()
    short = [(asking(f"Is there a lesion? {n}"), "yes") for n in range(20)]
    long = (asking("Is there a lesion? " + "in the lung " * 20), "yes")
    chat.score_batch(short)  # compares both ways once
    apart = tokens_in(chat, short) + tokens_in(chat, [long])
    assert tokens_in(chat, [*short, long]) <= apart


def tokens_read(chat: ChatLocalMLLM, asked: list[BaseMessage], texts: list[str]) -> int:
    """Tokens that went through the model to score texts after one prompt."""
    return tokens_in(chat, [(asked, text) for text in texts])


def tokens_in(chat: ChatLocalMLLM, items: list[tuple[list[BaseMessage], str]]) -> int:
    """Tokens that went through the model to score the items, padding included."""
    lengths: list[int] = []
    hook = chat.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: lengths.append(inputs[0].numel())
    )
    chat.score_batch(items)
    hook.remove()
    return sum(lengths)


def test_masks_have_the_number_format_of_the_embeddings() -> None:
    model = deepcopy(tiny_chat().model).to(torch.bfloat16)
    first = next(model.parameters())
    first.data = first.data.float()  # as where the tower alone is not quantised
    assert model.dtype == torch.float32
    mask = _masks(model, np.ones((1, 2, 2), np.bool_), np.array([[0, 1]]), split=0)
    assert isinstance(mask, torch.Tensor) and mask.dtype == torch.bfloat16
