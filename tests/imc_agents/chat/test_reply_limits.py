"""Replies of agents end where they are much longer than the question."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from imc_agents.chat.run_requests import run_requests, run_requests_together
from imc_agents.errors import QuestionRefused
from imc_agents.requests import Generate
from tests.imc_agents.chat_helpers import asking, tiny_chat

LONG = "Is there a lesion in the left lung? " * 4


def said(like: str | None) -> Generator[Generate, Any, Any]:
    reply = yield Generate(tuple(asking()), like)
    return reply


def test_a_reply_is_cut_off_in_proportion_to_what_it_is_like() -> None:
    chat = tiny_chat(max_tokens=64)
    tokens = len(chat.processor.tokenizer("Is there a lesion?")["input_ids"])
    assert chat.reply_limit("Is there a lesion?") == tokens + tokens // 2 + 8
    assert chat.reply_limit(LONG * 9) == 64
    reply = run_requests(chat, said("Is there a lesion?"))
    assert reply.usage_metadata["output_tokens"] <= chat.reply_limit("Is there a lesion?")


def test_replies_together_are_those_one_by_one() -> None:
    chat = tiny_chat(max_tokens=64)
    texts = ["no", "Is there a lesion?", LONG]
    together = run_requests_together(chat, [said(text) for text in texts])
    alone = [run_requests(chat, said(text)) for text in texts]
    assert [one.content for one in together] == [one.content for one in alone]
    written = [one.usage_metadata["output_tokens"] for one in together]
    assert len(set(written)) > 1
    finished = [one.response_metadata["finish_reason"] for one in together]
    assert finished == [one.response_metadata["finish_reason"] for one in alone]


def test_a_request_without_a_likeness_ends_where_the_model_does() -> None:
    chat = tiny_chat(max_tokens=20)
    assert run_requests(chat, said(None)).content == chat.invoke(asking()).content


def test_a_model_that_counts_no_tokens_is_asked_without_a_limit() -> None:
    chat = GenericFakeChatModel(messages=iter([AIMessage("a"), AIMessage("b")]))
    assert run_requests(chat, said("text")).content == "a"


def test_limits_must_be_as_many_as_the_conversations() -> None:
    with pytest.raises(QuestionRefused, match="2 conversations and 1 max_tokens: give one for"):
        tiny_chat().generate_batch([asking(), asking("What?")], max_tokens=[3])
