"""What a processor puts in an image's place, learned from two prompts of each size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from PIL import Image

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.image_slots import ImageSlots
from imc_agents.chat.messages import read_conversation
from imc_agents.chat.prompt_tokens import PromptEncoder
from tests.imc_agents.chat_helpers import asking, features_of, picture
from tests.tiny_models import FAMILIES, build_tiny

PLACE = 7
SIZE = (90, 120)
PROMPT = EncodedPrompt(torch.tensor([1, 7, 7, 7, 2]), {}, {}, {}, None, ("a question", ""))


def encoder_of(family: str) -> PromptEncoder:
    tiny = build_tiny(family)
    return PromptEncoder(tiny.model, tiny.processor)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["Is it?", "\n two  lines\n", " <image> é😀", "?"])
def test_a_later_prompt_is_what_the_processor_makes_of_it(family: str, text: str) -> None:
    encoder, features = encoder_of(family), features_of(family, picture())
    for first in ("What?", "Where is the lesion?"):
        encoder.encode(asking(first), features)
    learned = encoder.encode(asking(text), features)
    rendered = encoder.renderer.render(read_conversation(asking(text), placeholder=True))
    blank = Image.new("RGB", (features.size[1], features.size[0]))
    made, _ = encoder.tokenise(rendered, (blank,))
    assert torch.equal(learned.ids, made.ids)
    assert equal(learned.per_token, made.per_token) and equal(learned.per_image, made.per_image)
    assert learned.key[0] == rendered


def equal(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in some.items()
    )


def test_the_processor_looks_at_two_blank_images_of_a_size() -> None:
    encoder, features = encoder_of("llava"), features_of("llava", picture())
    with patch.object(encoder, "tokenise", wraps=encoder.tokenise) as tokenise:
        for number in range(20):
            encoder.encode(asking(f"Are there {number}?"), features)
        assert tokenise.call_count == 2
        for number in range(20):
            encoder.encode(asking(f"And here {number}?"), replace(features, size=(64, 64)))
        assert tokenise.call_count == 4


def slots(*shown: tuple[list[int], EncodedPrompt]) -> ImageSlots:
    known = ImageSlots()
    for ids, prompt in shown:
        known.record(ids, PLACE, SIZE, prompt)
    return known


def test_one_prompt_is_not_enough() -> None:
    assert slots(([1, PLACE, 2], PROMPT)).filled([5, PLACE, 6], SIZE) is None


def test_two_prompts_are() -> None:
    filled = slots(*[([1, PLACE, 2], PROMPT)] * 2).filled([5, PLACE, 6, 6], SIZE)
    assert filled is not None and filled.ids.tolist() == [5, 7, 7, 7, 6, 6]


def test_a_slot_that_another_prompt_contradicts_is_forgotten() -> None:
    other: Any = replace(PROMPT, ids=torch.tensor([1, 7, 7, 2]))
    known = slots(([1, PLACE, 2], PROMPT), ([1, PLACE, 2], other))
    assert known.filled([5, PLACE, 6], SIZE) is None


@pytest.mark.parametrize("ids", [[1, 2], [PLACE, 1, PLACE]], ids=["no place", "two places"])
def test_a_prompt_with_another_number_of_places_is_left_to_the_processor(ids: list[int]) -> None:
    assert slots(*[([1, PLACE, 2], PROMPT)] * 2).filled(ids, SIZE) is None


def test_values_for_every_token_are_left_to_the_processor() -> None:
    typed = replace(PROMPT, per_token={"token_type_ids": torch.zeros(5)})
    assert slots(*[([1, PLACE, 2], typed)] * 2).filled([5, PLACE, 6], SIZE) is None
