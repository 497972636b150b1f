"""Batches of the chat model that do not fit into memory are halved; the answers stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from imc_agents.chat import loglikelihood
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.verified_fast_path import VerifiedFastPath
from imc_agents.errors import ModelRefused
from tests.imc_agents.chat_helpers import asking, picture, tiny_chat

QUESTIONS = [f"Is there a lesion in the left lung? {'yes ' * n}" for n in range(5)]


def crowded(holds: int, compute: Callable[..., Any], tried: list[int], place: int = 0) -> Any:
    """`compute`, which runs out of memory for more than `holds` items of its argument `place`."""

    def limited(*given: Any, **more: Any) -> Any:
        items: Sequence[Any] = given[place]
        tried.append(len(items))
        if len(items) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory while reading: Mr Doe")
        return compute(*given, **more)

    return limited


@pytest.fixture
def chat() -> ChatLocalMLLM:
    return tiny_chat()


def test_a_batch_of_answers_is_halved(chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    conversations = [asking(question, picture()) for question in QUESTIONS]
    plain = [answer.content for answer in chat.generate_batch(conversations)]
    tried: list[int] = []
    generator = chat._engine._generator
    monkeypatch.setattr(generator, "generate", crowded(2, generator.generate, tried))
    assert [answer.content for answer in chat.generate_batch(conversations)] == plain
    assert tried[0] == 5 and max(tried[2:]) <= 2
    tried.clear()
    chat.generate_batch(conversations)
    assert max(tried) <= 2  # remembered


def test_a_batch_that_is_halved_keeps_the_limit_of_each_answer(
    chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversations = [asking(question) for question in QUESTIONS]
    limits = [7, 2, 5, 1, 3]
    generator = chat._engine._generator
    monkeypatch.setattr(generator, "generate", crowded(2, generator.generate, []))
    answers = chat.generate_batch(conversations, max_tokens=limits)
    written = [answer.usage_metadata["output_tokens"] for answer in answers]
    alone = [chat.invoke(one, max_tokens=7).usage_metadata for one in conversations]
    assert written == [
        min(limit, own["output_tokens"]) for limit, own in zip(limits, alone, strict=True)
    ]
    assert len(set(written)) > 2


@pytest.mark.parametrize("ask", ["generate", "score"])
def test_what_is_held_of_earlier_prompts_makes_room_for_one_that_does_not_fit(
    ask: str, chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pass after it is held runs out of memory; the one after that has room."""
    store, forward = chat._engine.prefixes, chat.model.forward
    chat.score(asking(), "yes")
    assert len(store) == 1

    def limited(*given: Any, **more: Any) -> Any:
        if len(store):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **more)

    monkeypatch.setattr(chat.model, "forward", limited)
    if ask == "generate":
        assert chat.invoke(asking(QUESTIONS[4])).content
    else:
        monkeypatch.setattr(store, "_hold", lambda *_: None)
        assert chat.score(asking(QUESTIONS[4]), "yes").logprob < 0


def test_a_batch_of_scores_is_halved(chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [(asking(question), "yes") for question in QUESTIONS]
    plain = [score.logprob for score in chat.score_batch(items)]
    tried: list[int] = []
    monkeypatch.setattr(
        loglikelihood, "score_trees", crowded(2, loglikelihood.score_trees, tried, place=1)
    )
    assert [score.logprob for score in chat.score_batch(items)] == pytest.approx(plain, abs=1e-4)
    assert max(tried) > 2 >= tried[-1]


@pytest.mark.parametrize("ask", ["generate", "score", "stream"])
def test_one_that_does_not_fit_is_refused_in_one_line(
    ask: str, chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory for: Mr Doe")

    monkeypatch.setattr(chat.model, "forward", full)
    with pytest.raises(ModelRefused, match="does not fit into memory") as refused:
        match ask:
            case "generate":
                chat.invoke(asking())
            case "score":
                chat.score(asking(), "yes")
            case _:
                list(chat.stream(asking()))
    assert "Doe" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_shortage_says_nothing_of_a_fast_path() -> None:
    path = VerifiedFastPath()

    def full() -> Any:
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError):
        path.verify(full, dict)
    assert path.agrees is None
    assert path.verify(lambda: {"a": [0.0]}, lambda: {"a": [0.0]})


def test_float16_that_overflows_is_said_with_the_remedy(
    chat: ChatLocalMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = chat.model.forward

    def overflowing(*given: Any, **more: Any) -> Any:
        output = forward(*given, **more)
        output.logits = output.logits + float("inf")
        return output

    monkeypatch.setattr(chat.model, "forward", overflowing)
    for request in (lambda: chat.invoke(asking()), lambda: chat.score(asking(), "yes")):
        with pytest.raises(ModelRefused, match="bfloat16 or float32"):
            request()
