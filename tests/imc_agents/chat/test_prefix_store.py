"""What prompts begin with is held: a second question on an image costs its own tokens alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from imc_agents.chat import greedy, prefix_store
from imc_agents.chat.chat_model import ChatLocalMLLM
from tests.imc_agents.chat_helpers import asking, features_of, picture, tiny_chat
from tests.tiny_models import FAMILIES, MORE_FAMILIES

QUESTIONS = (
    "Is there a lesion in the left lung?",
    "Which organ is shown here, and where in the picture is it?",
    "How many are there?",
)
INSTRUCTIONS = "Answer the question from what the image shows, with a single word or yes or no."
WHOLE_PROMPT_ONLY = ("paligemma",)
"""Families whose whole prompt attends to itself, so that it cannot be divided."""
WINDOWED = ("gemma3",)
"""Families of which the tiny one has an attention window shorter than these prompts."""


def instructed(question: str) -> list[BaseMessage]:
    return [SystemMessage(INSTRUCTIONS), HumanMessage(question)]


def whole_passes(chat: ChatLocalMLLM) -> ChatLocalMLLM:
    """The same model, which is taken for one that can go on from nothing."""
    other = chat.from_parts(chat.model, chat.processor, max_tokens=chat.max_tokens)
    engine = other._engine
    for path in (*engine._generator._paths.values(), *engine._scorer._tree_paths.values()):
        path.rule_out()
    return other


@contextmanager
def tokens_of(chat: ChatLocalMLLM) -> Iterator[list[int]]:
    """The lengths of what goes through the model in the block, padding included."""
    lengths: list[int] = []
    hook = chat.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: lengths.append(inputs[0].numel())
    )
    try:
        yield lengths
    finally:
        hook.remove()


def agree(one: AIMessage, other: AIMessage) -> bool:
    return one.content == other.content and one.response_metadata[
        "token_logprobs"
    ] == pytest.approx(other.response_metadata["token_logprobs"], abs=1e-4)


@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
def test_later_questions_on_an_image_are_answered_as_in_whole_passes(family: str) -> None:
    chat, features = tiny_chat(family), features_of(family, picture())
    bare = whole_passes(chat)
    for question in QUESTIONS:
        asked = instructed(question)
        assert agree(chat.invoke(asked, features=features), bare.invoke(asked, features=features))
    divided = family not in (*WHOLE_PROMPT_ONLY, *WINDOWED)
    assert chat._engine._generator._paths["image alone"].agrees is (True if divided else None)
    assert bool(chat._engine.prefixes) is divided


@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
@pytest.mark.parametrize("seen", [False, True], ids=["text alone", "with an image"])
def test_texts_are_scored_in_trees_as_in_whole_passes(family: str, seen: bool) -> None:
    chat = tiny_chat(family)
    features = features_of(family, picture()) if seen else None
    texts = ["yes", "yes, in the left lung", "yes, in the right lung", "no"]
    # longer than the window of the tiny Gemma 3
    items = [(instructed(question), text) for question in QUESTIONS for text in texts]
    single, several = items[: len(texts)], items
    for some in (single, several):
        given = [features] * len(some)
        found = chat.score_batch(some, features=given)
        for one, other in zip(
            found, whole_passes(chat).score_batch(some, features=given), strict=True
        ):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    paths = chat._engine._scorer._tree_paths.values()
    assert {path.agrees for path in paths} == {True, None}  # some kinds came, each agreed


def test_a_second_question_on_an_image_of_576_tokens_costs_its_own_tokens() -> None:
    chat, features = tiny_chat("llava_576"), features_of("llava_576", picture())
    costs = []
    for question in QUESTIONS:
        with tokens_of(chat) as lengths:
            chat.invoke(instructed(question), features=features)
        costs.append(sum(lengths))
    assert costs[0] > 576
    assert max(costs[1:]) < 0.4 * costs[0]


def test_a_second_question_that_is_streamed_costs_its_own_tokens() -> None:
    chat, features = tiny_chat("llava_576"), features_of("llava_576", picture())
    bare, costs = whole_passes(chat), []
    for question in QUESTIONS:
        asked = instructed(question)
        with tokens_of(chat) as lengths:
            pieces = list(chat.stream(asked, features=features))
        costs.append(sum(lengths))
        said = bare.invoke(asked, features=features)
        assert "".join(str(piece.content) for piece in pieces) == said.content
        assert pieces[-1].usage_metadata == said.usage_metadata
    assert costs[0] > 576
    assert max(costs[1:]) < 0.4 * costs[0]


def test_a_stream_from_what_is_held_ends_where_its_reader_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(greedy, "ending_ids", lambda _model: set())  # no answer ends by itself
    chat, features = tiny_chat(max_tokens=512), features_of("llava", picture())
    for question in QUESTIONS[:2]:
        chat.invoke(instructed(question), features=features, max_tokens=4)
    with tokens_of(chat) as lengths:
        for _ in chat.stream(instructed(QUESTIONS[2]), features=features):
            break
    assert len(lengths) < 256


def test_a_first_question_is_one_plain_generation() -> None:
    chat, features = tiny_chat("llava_576"), features_of("llava_576", picture())
    with tokens_of(chat) as lengths:
        answer = chat.invoke(instructed(QUESTIONS[0]), features=features)
    with tokens_of(chat) as bare:
        whole_passes(chat).invoke(instructed(QUESTIONS[0]), features=features)
    assert lengths == bare
    assert agree(answer, whole_passes(chat).invoke(instructed(QUESTIONS[0]), features=features))


def test_instructions_of_an_agent_are_read_once() -> None:
    chat = tiny_chat()
    costs = []
    for number in range(4):
        with tokens_of(chat) as lengths:
            chat.invoke(instructed(f"Is there a lesion in the lung? {number}"))
        costs.append(sum(lengths))
    assert costs[2] == costs[3] < costs[0]


def test_another_image_with_the_same_tokens_has_a_beginning_of_its_own() -> None:
    chat = tiny_chat()
    features = [features_of("llava", picture(seed)) for seed in (0, 1)]
    bare = whole_passes(chat)
    for question in QUESTIONS:
        for one in features:
            asked = instructed(question)
            assert agree(chat.invoke(asked, features=one), bare.invoke(asked, features=one))
    assert len(chat._engine.prefixes) == 2


def test_what_is_held_of_an_image_goes_with_its_features() -> None:
    chat, features = tiny_chat(), features_of("llava", picture())
    chat.invoke(instructed(QUESTIONS[0]), features=features)
    assert len(chat._engine.prefixes) == 1 and chat._engine.prefixes.bytes > 0
    del features
    gc.collect()
    assert len(chat._engine.prefixes) == 0


def test_no_more_is_held_than_there_is_memory_for() -> None:
    chat = tiny_chat()
    several = [features_of("llava", picture(seed)) for seed in range(3)]
    chat.invoke(instructed(QUESTIONS[0]), features=several[0])
    one = chat._engine.prefixes.bytes
    small = tiny_chat(prefix_bytes=2 * one)
    for features in several:
        small.invoke(instructed(QUESTIONS[0]), features=features)
    assert len(small._engine.prefixes) == 2  # the first made room
    none = tiny_chat(prefix_bytes=0)
    none.invoke(instructed(QUESTIONS[0]), features=several[0])
    assert len(none._engine.prefixes) == 0


def test_a_model_that_goes_on_otherwise_is_asked_in_whole_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chat, features = tiny_chat(), features_of("llava", picture())
    monkeypatch.setattr(prefix_store, "_next_position", lambda _positions, _row, length: length + 5)
    for question in QUESTIONS:
        asked = instructed(question)
        bare = whole_passes(chat).invoke(asked, features=features)
        assert agree(chat.invoke(asked, features=features), bare)
    assert chat._engine._generator._paths["image alone"].agrees is False


def test_positions_after_an_image_in_rows_and_columns_begin_where_the_family_says() -> None:
    chat, features = tiny_chat("qwen2_5_vl"), features_of("qwen2_5_vl", picture())
    prompt = chat._engine.encode([asking()], [features])[0]
    beginning = prompt.beginning(prompt.split(chat.model.config.image_token_id))
    (prefix,) = chat._engine.prefixes.get([beginning])
    grid = [int(side) // 2 for side in prompt.per_image["image_grid_thw"][0, 1:]]
    image = grid[0] * grid[1]
    assert prefix.position == prefix.length - image + max(grid)


def test_a_prompt_that_attends_to_itself_is_not_divided() -> None:
    chat, features = tiny_chat("paligemma"), features_of("paligemma", picture())
    prompts: list[Any] = chat._engine.encode(
        [instructed(QUESTIONS[0]), instructed(QUESTIONS[1])], [features, None]
    )
    assert [prompt.split(chat.model.config.image_token_id) for prompt in prompts] == [0, 0]
