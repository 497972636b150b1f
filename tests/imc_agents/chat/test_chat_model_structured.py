"""Structured answers and tool calls: valid, repaired, or an explicit failure."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from imc_agents.chat.structured import Grammar, bounded, find_json, parse_structured
from imc_agents.chat.tool_calls import read_tool_calls
from imc_agents.errors import QuestionRefused
from tests.imc_agents.chat_helpers import asking, features_of, picture, tiny_chat
from tests.scripted_model import Script, ScriptedChat
from tests.tiny_models import build_tiny


class Finding(BaseModel):
    """What is seen."""

    organ: Literal["lung", "liver"]
    count: int = Field(ge=0, le=9)


def scripted(script: Script) -> ScriptedChat:
    tiny = build_tiny("llava")
    return ScriptedChat.from_parts(tiny.model, tiny.processor, "scripted", script=script)


@pytest.fixture
def no_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grammar, "available", staticmethod(lambda: False))


@pytest.mark.usefixtures("no_grammar")
def test_an_answer_in_prose_and_fences_is_found() -> None:
    chat = scripted(lambda _: 'Sure:\n```json\n{"organ": "lung", "count": 2}\n```')
    answer = chat.ask_structured(asking(), Finding)
    assert answer.value == Finding(organ="lung", count=2)
    assert answer.ok and not answer.repaired
    assert chat.calls == 1


@pytest.mark.usefixtures("no_grammar")
def test_a_wrong_answer_is_repaired_once() -> None:
    def script(prompt: str) -> str:
        right = "not usable: fields do not fit the schema: count: less_than_equal" in prompt
        return '{"organ": "liver", "count": 3}' if right else '{"organ": "liver", "count": 300}'

    chat = scripted(script)
    answer = chat.ask_structured(asking(), Finding, features=features_of("llava", picture()))
    assert answer.value == Finding(organ="liver", count=3)
    assert answer.repaired
    assert chat.calls == 2


@pytest.mark.usefixtures("no_grammar")
def test_rubbish_is_an_explicit_failure() -> None:
    answer = scripted(lambda _: "Mrs Smith has a lesion").ask_structured(asking(), Finding)
    assert not answer.ok and answer.value is None
    assert answer.failure == "no JSON object in the 22 characters of the answer"


@pytest.mark.usefixtures("no_grammar")
def test_a_failure_raises_unless_the_raw_answer_is_asked_for() -> None:
    chat = scripted(lambda _: "rubbish")
    with pytest.raises(OutputParserException, match="no structured answer"):
        chat.with_structured_output(Finding).invoke("Is it?")
    shown = chat.with_structured_output(Finding, include_raw=True).invoke("Is it?")
    assert shown["parsed"] is None
    assert shown["raw"].content == "rubbish"
    assert isinstance(shown["parsing_error"], OutputParserException)


@pytest.mark.usefixtures("no_grammar")
async def test_structured_output_is_async_too() -> None:
    chat = scripted(lambda _: '{"organ": "lung", "count": 1}')
    assert await chat.with_structured_output(Finding).ainvoke("Is it?") == Finding(
        organ="lung", count=1
    )


def test_a_grammar_makes_random_weights_answer_in_the_schema() -> None:
    pytest.importorskip("xgrammar", reason="the extra `constrained` is not installed")
    chat = tiny_chat()
    for seed in range(3):
        answer = chat.ask_structured(asking(), Finding, temperature=1.0, seed=seed)
        assert isinstance(answer.value, Finding)
        assert not answer.repaired


def test_a_grammar_closes_open_ended_fields() -> None:
    class Report(BaseModel):
        text: str
        places: list[str] = Field(max_length=3)

    closed = bounded(Report.model_json_schema())["properties"]
    assert closed["text"]["maxLength"] == closed["places"]["items"]["maxLength"] == 200
    assert closed["places"]["maxItems"] == 3


def test_a_grammar_forces_a_tool_call() -> None:
    pytest.importorskip("xgrammar", reason="the extra `constrained` is not installed")

    def crop(left: int, top: int) -> str:
        """Crop the image."""
        return f"{left},{top}"

    answer = tiny_chat(max_tokens=80).bind_tools([crop], tool_choice="any").invoke("Crop it.")
    assert [call["name"] for call in answer.tool_calls] == ["crop"]
    assert set(answer.tool_calls[0]["args"]) == {"left", "top"}


def test_a_tool_that_is_not_on_offer_cannot_be_forced() -> None:
    def crop(left: int) -> str:
        """Crop the image."""
        return str(left)

    with pytest.raises(QuestionRefused, match="use one of crop"):
        tiny_chat().bind_tools([crop], tool_choice="zoom")


TOOL: dict[str, Any] = {"type": "function", "function": {"name": "crop", "parameters": {}}}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "crop", "arguments": {"left": 1}}',
        '<tool_call>\n{"name": "crop", "parameters": {"left": 1}}\n</tool_call>',
        'I will.\n```json\n[{"name": "crop", "args": {"left": 1}}]\n```',
        '{"type": "function", "function": {"name": "crop", "arguments": "{\\"left\\": 1}"}}',
    ],
)
def test_tool_calls_are_read_in_many_spellings(text: str) -> None:
    words, calls, wrong = read_tool_calls(text, [TOOL])
    assert (words, wrong) == ("", [])
    assert [(call["name"], call["args"]) for call in calls] == [("crop", {"left": 1})]


def test_an_unknown_tool_is_an_invalid_call_and_the_words_stay() -> None:
    text = 'Try {"name": "zoom", "arguments": {}} or {"unrelated": 1}.'
    words, calls, wrong = read_tool_calls(text, [TOOL])
    assert words == text
    assert calls == []
    assert [(one["name"], one["error"]) for one in wrong] == [("zoom", "no such tool")]


def test_json_is_found_between_brackets_that_are_none() -> None:
    assert find_json('a {b} [1, 2] {"c": "{"} {') == [[1, 2], {"c": "{"}]


def test_a_dictionary_schema_checks_its_required_fields() -> None:
    schema = Finding.model_json_schema()
    assert parse_structured('{"organ": "lung", "count": 1}', schema)[1] is None
    assert parse_structured('{"organ": "lung"}', schema) == (None, "fields missing: count")


def test_a_failure_names_fields_never_their_values() -> None:
    _, failure = parse_structured('{"organ": "Mrs Smith", "count": 1}', Finding)
    assert failure == "fields do not fit the schema: organ: literal_error"


def test_a_structured_answer_streams_as_one_value() -> None:
    chat = scripted(lambda _: '{"organ": "lung", "count": 1}')
    pieces = list(chat.with_structured_output(Finding).stream([HumanMessage("Is it?")]))
    assert pieces == [Finding(organ="lung", count=1)]
