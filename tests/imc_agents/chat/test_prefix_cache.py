"""Questions about one image share its computation: the same answers as each by itself, for less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import AIMessage, BaseMessage
from PIL import Image

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.prefix_cache import PrefixCacheGenerator
from tests.imc_agents.chat_helpers import Features, asking, features_of, picture, tiny_chat
from tests.tiny_models import FAMILIES

QUESTIONS = (
    "Is there a lesion in the left lung?",
    "What?",
    "Which organ is shown here, and where in the picture is it?",
    "How many are there in all?",
)
BATCH = 32
Asked = tuple[list[list[BaseMessage]], list[Any]]


def about_two_images(family: str) -> Asked:
    """Many questions about two images, which take turns."""
    images = [features_of(family, picture(seed)) for seed in (0, 1)]
    asked = [asking(question) for question in QUESTIONS for _ in range(8)]
    return asked, [images[index % 2] for index in range(len(asked))]


def answers(chat: ChatLocalMLLM, asked: Asked, **settings: Any) -> list[AIMessage]:
    return chat.generate_batch(asked[0], features=asked[1], **settings)


def plain(chat: ChatLocalMLLM) -> ChatLocalMLLM:
    """The same model, which is taken for one that cannot share."""
    unshared = chat.from_parts(
        chat.model, chat.processor, max_tokens=chat.max_tokens, batch_size=chat.batch_size
    )
    for way in unshared._engine._generator._paths.values():
        way.rule_out()
    return unshared


def tokens_read(chat: ChatLocalMLLM, asked: Asked, longest: int = 1) -> int:
    """Tokens that go through the model for answers of so many tokens at most."""
    lengths: list[int] = []
    hook = chat.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: lengths.append(inputs[0].numel())
    )
    answers(chat, asked, max_tokens=longest)
    hook.remove()
    return sum(lengths)


def agree(some: list[AIMessage], others: list[AIMessage]) -> bool:
    """The same texts, as likely."""
    return [one.content for one in some] == [other.content for other in others] and all(
        one.response_metadata["token_logprobs"]
        == pytest.approx(other.response_metadata["token_logprobs"], abs=1e-4)
        and one.response_metadata["confidence"]
        == pytest.approx(other.response_metadata["confidence"], abs=1e-5)
        and one.response_metadata["finish_reason"] == other.response_metadata["finish_reason"]
        and one.usage_metadata == other.usage_metadata
        for one, other in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_in_whole_passes(family: str) -> None:
    chat, asked = tiny_chat(family, batch_size=BATCH), about_two_images(family)
    assert agree(answers(chat, asked), answers(plain(chat), asked))


@pytest.fixture(scope="module")
def reference(embedded_model: Path) -> ChatLocalMLLM:
    """The embedded model."""
    return ChatLocalMLLM.from_pretrained(embedded_model, device="cpu")


@pytest.fixture(scope="module")
def five_images(reference: ChatLocalMLLM) -> Asked:
    """64 questions, in no order of their images, and one without an image among them."""
    images = [_seen(reference, picture(seed)) for seed in range(5)]
    asked = [asking(f"{QUESTIONS[n % 4]} {'please ' * (n % 7)}") for n in range(64)]
    given: list[Any] = [images[(n * n) % 5] for n in range(64)]
    given[9] = None
    return asked, given


def _seen(chat: ChatLocalMLLM, image: Image.Image) -> Features:
    pixels = chat.processor.image_processor(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        output = chat.model.get_image_features(pixel_values=pixels, return_dict=True)
    return Features("image", (image.height, image.width), output)


@pytest.mark.parametrize("batch", [1, 16, 64])
def test_the_embedded_model_answers_alike_in_any_batch(
    reference: ChatLocalMLLM, five_images: Asked, batch: int
) -> None:
    chat = reference.from_parts(reference.model, reference.processor, batch_size=batch)
    given_answers = answers(chat, five_images)
    assert chat._engine._generator._paths["image"].agrees is (True if batch > 1 else None)
    assert agree(given_answers, answers(plain(reference), five_images))
    assert len({message.content for message in given_answers}) > 1


def test_an_image_is_read_once_for_all_its_questions() -> None:
    chat, asked = tiny_chat(batch_size=BATCH), about_two_images("llava")
    answers(chat, asked)  # compares both ways once
    beginning = 2 + 16  # tokens up to the end of the image
    padded = tokens_read(plain(chat), asked)
    others = asked[0], [features_of("llava", picture(seed)) for seed in (2, 3)] * 16
    assert tokens_read(chat, others) == padded - (len(asked[0]) - 2) * beginning
    assert tokens_read(chat, others) == padded - len(asked[0]) * beginning  # they are held


def test_a_finished_answer_leaves_the_batch(reference: ChatLocalMLLM, five_images: Asked) -> None:
    chat = reference.from_parts(reference.model, reference.processor, batch_size=64)
    asked = five_images[0][10:], five_images[1][10:]  # all about an image
    given_answers = answers(chat, asked)  # compares both ways once
    written = [len(message.response_metadata["token_logprobs"]) for message in given_answers]
    assert len(set(written)) > 1
    everything = tokens_read(chat, asked, max(written) + 1)
    first_tokens = tokens_read(chat, asked, 1)
    assert everything - first_tokens == sum(written) - len(written)


def test_a_model_that_answers_otherwise_from_the_cache_is_asked_in_whole_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chat, asked = tiny_chat(batch_size=BATCH), about_two_images("llava")
    prefix_cache = PrefixCacheGenerator._prefix_cache

    def of_another_image(self: PrefixCacheGenerator, prompts: Any, begin: int) -> Any:
        return prefix_cache(self, prompts[::-1], begin)

    monkeypatch.setattr(PrefixCacheGenerator, "_prefix_cache", of_another_image)
    given_answers = answers(chat, asked)
    assert chat._engine._generator._paths["image"].agrees is False
    assert agree(given_answers, answers(plain(chat), asked))


def test_a_model_that_cannot_go_on_from_a_cache_is_asked_in_whole_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(self: PrefixCacheGenerator, *_: Any) -> Any:
        raise TypeError("no position_ids here")

    monkeypatch.setattr(PrefixCacheGenerator, "_prefix_cache", refuses)
    chat, asked = tiny_chat(batch_size=BATCH), about_two_images("llava")
    assert agree(answers(chat, asked), answers(plain(chat), asked))


def test_penalties_of_a_checkpoint_are_left_to_its_own_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chat, asked = tiny_chat(batch_size=BATCH), about_two_images("llava")
    monkeypatch.setattr(chat.model.generation_config, "repetition_penalty", 1.3)
    assert agree(answers(chat, asked), answers(plain(chat), asked))
    assert chat._engine._generator._paths["image"].agrees is False


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 1.0}, {"stop": ["e"]}, {"timeout": 60.0}],
    ids=["sampling", "stop text", "time limit"],
)
def test_what_is_not_plainly_greedy_is_not_shared(settings: dict[str, Any]) -> None:
    chat, asked = tiny_chat(batch_size=BATCH), about_two_images("llava")
    assert agree(answers(chat, asked, **settings), answers(plain(chat), asked, **settings))
    assert chat._engine._generator._paths["image"].agrees is None


def questions_alone() -> Asked:
    """Prompts without an image that begin alike and differ in length."""
    asked = [asking(f"{QUESTIONS[n % 4]} {'please ' * (n % 5)}") for n in range(16)]
    return asked, [None] * len(asked)


def test_questions_without_an_image_share_what_they_begin_with(reference: ChatLocalMLLM) -> None:
    chat, asked = reference.from_parts(reference.model, reference.processor), questions_alone()
    given_answers = answers(chat, asked)
    assert chat._engine._generator._paths["text"].agrees is True
    assert agree(given_answers, answers(plain(reference), asked))
    assert tokens_read(chat, asked) < tokens_read(plain(reference), asked)


def test_questions_without_an_image_are_tried_by_themselves(reference: ChatLocalMLLM) -> None:
    chat, asked = reference.from_parts(reference.model, reference.processor), questions_alone()
    chat._engine._generator._paths["image"].rule_out()
    answers(chat, asked)
    assert chat._engine._generator._paths["text"].agrees is True


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_questions_without_an_image_as_in_whole_passes(family: str) -> None:
    chat, asked = tiny_chat(family, batch_size=BATCH), questions_alone()
    assert agree(answers(chat, asked), answers(plain(chat), asked))
