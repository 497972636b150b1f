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
