"""What holds for every family: features stand for pixels, exactly, and scores for generation."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch

from imc_agents.chat.decoding import DecodingSettings, generate_texts
from imc_agents.chat.text_passes import PlainPasses, ScoredText
from tests.imc_agents.chat_helpers import asking, bare_inputs, features_of, picture, tiny_chat
from tests.tiny_models import FAMILIES, build_tiny


def _recorded(model: Any, run: Any) -> list[torch.Tensor]:
    """The next-token logits of every step while `run` is going on."""
    steps: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda _module, _inputs, output: steps.append(output[:, -1].detach().clone())
    )
    try:
        run()
    finally:
        hook.remove()
    return steps


@pytest.mark.parametrize("family", FAMILIES)
def test_features_give_the_bare_models_logits_bit_for_bit(family: str) -> None:
    tiny, image = build_tiny(family), picture()
    chat, features = tiny_chat(family), features_of(family, image)
    bare = _recorded(
        tiny.model,
        lambda: tiny.model.generate(**bare_inputs(tiny, image), max_new_tokens=6, do_sample=False),
    )
    with patch.object(tiny.model.base_model, "get_image_features") as encoder:
        ours = _recorded(tiny.model, lambda: chat.invoke(asking(), features=features))
        assert not encoder.called
    assert len(ours) == len(bare) > 1
    assert all(torch.equal(a, b) for a, b in zip(ours, bare, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_in_a_message_give_the_same_answer_as_features(family: str) -> None:
    chat, image = tiny_chat(family), picture()
    with_pixels = chat.invoke(asking(image=image))
    with_features = chat.invoke(asking(), features=features_of(family, image))
    assert with_pixels.content == with_features.content
    assert with_pixels.response_metadata == with_features.response_metadata


@pytest.mark.parametrize("family", FAMILIES)
def test_another_image_changes_the_scores(family: str) -> None:
    chat = tiny_chat(family)
    mine, other = (features_of(family, picture(seed)) for seed in (0, 1))
    assert chat.score(asking(), "yes", features=mine) != chat.score(asking(), "yes", features=other)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_answers_like_single_calls(family: str) -> None:
    chat, features = tiny_chat(family), features_of(family, picture())
    asked = [asking(), asking("Where is it, and how many are there in all?"), asking("What?")]
    given = [features, features, None]
    together = chat.generate_batch(asked, features=given)
    alone = [chat.invoke(a, features=f) for a, f in zip(asked, given, strict=True)]
    assert [m.content for m in together] == [m.content for m in alone]


@pytest.mark.parametrize("with_image", [True, False], ids=["image", "text"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_probabilities_generation_had(family: str, with_image: bool) -> None:
    chat = tiny_chat(family)
    encoder = chat._engine.encoder
    features = features_of(family, picture()) if with_image else None
    prompt = encoder.encode(asking(), features)
    sampled = DecodingSettings(max_new_tokens=10, temperature=1.5, seed=3)
    answer = generate_texts(chat.model, chat.processor.tokenizer, [prompt], sampled)[0]
    row = ScoredText(prompt, "unused", list(answer.token_ids), [])
    scored = PlainPasses(chat.model).plain([row], [row.ids], [0])[0]
    assert scored == pytest.approx(answer.token_logprobs, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_the_batch(family: str) -> None:
    chat, features = tiny_chat(family), features_of(family, picture())
    texts = ["yes", "no, it is not", "normal heart é😀"] * 12  # enough to share the prompt
    asked = asking()
    together = chat.score_batch([(asked, text) for text in texts], features=[features] * len(texts))
    alone = [chat.score(asked, text, features=features) for text in texts[:3]]
    for index, score in enumerate(together):
        assert score.logprob == pytest.approx(alone[index % 3].logprob, abs=1e-3)
