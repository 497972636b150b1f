"""Scores of given texts and probabilities of given options."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.scores import TextScore, make_choice
from imc_agents.errors import QuestionRefused
from tests.imc_agents.chat_helpers import asking, features_of, picture, tiny_chat


@cache
def chat() -> ChatLocalMLLM:
    """One chat model for the tests that count no calls; made when first needed."""
    return tiny_chat()


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_tokens_cover_every_character_in_order(text: str) -> None:
    score = chat().score(asking(), text)
    assert {i for token in score.tokens for i in range(token.start, token.end)} == set(
        range(len(text))
    )
    assert [t.start for t in score.tokens] == sorted(t.start for t in score.tokens)
    assert all(token.text == text[token.start : token.end] for token in score.tokens)
    assert all(token.logprob <= 0 for token in score.tokens)


def test_the_bytes_of_one_character_share_its_place() -> None:
    tokens = chat().score(asking(), "a😀b").tokens
    assert {(t.start, t.end) for t in tokens} == {(0, 1), (1, 2), (2, 3)}
    assert len(tokens) == 6  # four bytes for the emoji


def test_the_sum_and_the_mean_per_character() -> None:
    score = chat().score(asking(), "left lung")
    assert score.logprob == pytest.approx(sum(token.logprob for token in score.tokens))
    assert score.per_char == pytest.approx(score.logprob / len("left lung"))


def test_a_score_is_the_teacher_forced_log_softmax() -> None:
    prompt = chat()._engine.encoder.encode(asking())
    ids = chat().processor.tokenizer("no lesion", add_special_tokens=False)["input_ids"]
    whole = torch.cat([prompt.ids, torch.tensor(ids)])[None]
    with torch.no_grad():
        logits = chat().model(input_ids=whole).logits[0]
    expected = [
        float(torch.log_softmax(logits[len(prompt.ids) - 1 + step], -1)[token])
        for step, token in enumerate(ids)
    ]
    scored = [token.logprob for token in chat().score(asking(), "no lesion").tokens]
    assert scored == pytest.approx(expected, abs=1e-5)


def test_many_texts_share_one_pass_over_their_prompt() -> None:
    mine, features = tiny_chat(), features_of("llava", picture())
    asked = asking("Is there a lesion in the left lung? " * 8)
    texts = [f"answer number {n}" for n in range(40)]
    lengths: list[int] = []
    hook = mine.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: lengths.append(inputs[0].numel())
    )
    mine.score_batch([(asked, t) for t in texts], features=[features] * 40)  # checks the cache once
    lengths.clear()
    before = mine.calls
    shared = mine.score_batch([(asked, t) for t in texts], features=[features] * 40)
    hook.remove()
    prompt = len(mine._engine.encoder.encode(asked, features).ids)
    assert mine.calls == before + 1
    assert sum(lengths) < 2 * prompt + 40 * 40 < 40 * prompt
    alone = [mine.score(asked, text, features=features) for text in texts[:4]]
    for one, other in zip(alone, shared, strict=False):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_conversations_of_different_length_score_together() -> None:
    items = [(asking(), "yes"), (asking("Why, and where, and since when?"), "no lesion seen")]
    mine = tiny_chat()
    together = mine.score_batch(items)
    assert mine.calls == 1
    for (asked, text), score in zip(items, together, strict=True):
        assert score.logprob == pytest.approx(mine.score(asked, text).logprob, abs=1e-4)


def test_control_tokens_in_a_scored_text_are_characters() -> None:
    tokens = chat().score(asking(), "a</s>b").tokens
    assert "".join(token.text for token in tokens) == "a</s>b"
    assert all(token.text != "</s>" for token in tokens)


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), ("word " * 3000, "shorten")])
def test_texts_that_cannot_be_scored_are_refused(text: str, reason: str) -> None:
    with pytest.raises(QuestionRefused, match=reason):
        chat().score(asking(), text)


def test_choices_are_probabilities() -> None:
    mine = tiny_chat()
    choice = mine.choose(asking(), ["yes", "no", "cannot tell"])
    assert sum(choice.probabilities) == pytest.approx(1.0)
    assert choice.probability == max(choice.probabilities)
    assert choice.best in choice.options
    assert mine.calls == 1


def test_an_option_counts_with_the_end_of_its_turn() -> None:
    scores = chat()._engine.score([(asking(), "no"), (asking(), "normal")], None, ending=True)
    choice = chat().choose(asking(), ["no", "normal"])
    totals = [score.logprob + (score.ending_logprob or 0) for score in scores]
    assert scores[0].ending_logprob is not None
    assert choice.probabilities[0] == pytest.approx(
        1 / (1 + math.exp(totals[1] - totals[0])), rel=1e-3
    )


def test_choices_for_many_conversations_are_one_pass() -> None:
    mine, features = tiny_chat(), features_of("llava", picture())
    items = [(asking(), ["yes", "no"]), (asking("Which side?"), ["left", "right", "both"])]
    both = mine.choose_batch(items, features=[features, features])
    assert mine.calls == 1
    alone = [mine.choose(*item, features=features) for item in items]
    for one, other in zip(both, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_choices_with_an_image_and_without_are_those_of_each() -> None:
    mine, features = tiny_chat(), features_of("llava", picture())
    items = [(asking(), ["yes", "no"]), (asking("Which side?"), ["left", "right", "both"])]
    both = mine.choose_batch(items, features=[features, None])
    assert mine.calls == 2  # a pass for each length of what prompts begin with
    alone = [mine.choose(*items[0], features=features), mine.choose(*items[1])]
    for one, other in zip(both, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


@pytest.mark.parametrize("options", [[], ["yes"], ["yes", "yes"], ["yes", ""]])
def test_options_must_be_two_different_texts(options: list[str]) -> None:
    with pytest.raises(QuestionRefused):
        chat().choose(asking(), options)


def test_a_very_unlikely_option_is_no_nan() -> None:
    def score(value: float) -> TextScore:
        return TextScore("a", ((0, 1),), (value,), 0.0)

    choice = make_choice(["a", "b"], [score(-2000.0), score(-1.0)])
    assert choice.best == "b"
    assert choice.probabilities[0] == 0.0
