"""Which chat models a context takes: none that would silently do less than it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from graphs.context import IMCContext
from imc_agents.errors import ModelRefused
from prompts import load_prompts
from tests.fakes import AskedChat, FakeCalibrator, small_lexicon

TEXT_ONLY = FakeListChatModel(responses=["hello"])


def context(**changes: Any) -> IMCContext:
    parts: dict[str, Any] = {
        "chat": AskedChat(),
        "calibrator": FakeCalibrator(),
        "lexicon": small_lexicon(),
    }
    return IMCContext(**{**parts, **changes})


def test_a_text_only_model_does_not_answer_about_images() -> None:
    with pytest.raises(ModelRefused, match="would answer without the image"):
        context(chat=TEXT_ONLY)


def test_a_text_only_model_may_serve_the_agents() -> None:
    assert context(agent_chat=TEXT_ONLY).agents is TEXT_ONLY
    assert context(chat=TEXT_ONLY, calibrator=None).agents is TEXT_ONLY


def test_the_reference_prompts_are_for_the_embedded_model_alone() -> None:
    reference = load_prompts("reference")
    with pytest.raises(ModelRefused, match="instruct"):
        context(agent_chat=TEXT_ONLY, prompts=reference)
    mixed = load_prompts("instruct").model_copy(update={"answer": reference.answer})
    assert context(agent_chat=TEXT_ONLY, prompts=mixed).prompts.answer == reference.answer
