"""Prompts are data: profiles are checked at load, and questions are never read as templates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts import ROLES, PromptRefused, PromptSet, load_prompts

ANY_TEXT = st.text(min_size=1, max_size=200)


def write_profile(folder: Path, **changes: dict[str, object]) -> Path:
    """A folder holding the reference profile, some roles changed."""
    reference = load_prompts("reference")
    for role in ROLES:
        prompt = getattr(reference, role).model_dump(exclude_none=True, by_alias=True)
        prompt.update(changes.get(role, {}))
        prompt["options"] = list(prompt["options"])
        (folder / f"{role}.yaml").write_text(yaml.safe_dump(prompt), "utf-8")
    return folder


@pytest.mark.parametrize("profile", ["instruct", "reference"])
def test_every_profile_holds_the_five_roles(profile: str) -> None:
    prompts = load_prompts(profile)
    assert [getattr(prompts, role).role for role in ROLES] == list(ROLES)


def test_the_reference_profile_says_exactly_what_the_embedded_model_was_trained_on() -> None:
    prompts = load_prompts("reference")
    assert prompts.answer.messages(question="q?") == [{"role": "user", "content": "q?"}]
    said = [{"role": "user", "content": "write a question"}]
    assert prompts.coordinator.messages() == prompts.detector.messages() == said
    assert prompts.corrector.messages(question="q?")[0]["content"] == "correct: q?"
    asked = prompts.verifier.messages(original="a?", candidate="b?")
    assert asked == [{"role": "user", "content": "same question? a? => b?"}]
    assert prompts.verifier.options == ("yes", "no")


@settings(deadline=None)  # a busy machine is not a slow function
@given(question=ANY_TEXT)
def test_a_question_is_never_read_as_a_template(question: str) -> None:
    answer = load_prompts("reference").answer
    assert answer.messages(question=question)[0]["content"] == question


def test_braces_in_one_field_do_not_pull_in_another() -> None:
    said = load_prompts("reference").verifier.messages(original="{candidate}", candidate="b")
    assert said[0]["content"] == "same question? {candidate} => b"


@settings(deadline=None)  # a busy machine is not a slow function
@given(question=ANY_TEXT)
def test_a_question_cannot_leave_its_fence(question: str) -> None:
    said = load_prompts("instruct").corrector.messages(question=question)[-1]["content"]
    body = said.removeprefix("<question>\n").removesuffix("\n</question>")
    assert json.loads(body) == question
    assert "<" not in body
    assert "\n" not in body


def test_the_roles_that_may_be_asked_describe_their_reply() -> None:
    prompts = load_prompts("instruct")
    for prompt in (prompts.coordinator, prompts.detector, prompts.corrector, prompts.verifier):
        assert prompt.ask is not None
        assert prompt.ask.output["type"] == "object"


def test_a_folder_of_ones_own_is_a_profile(tmp_path: Path) -> None:
    prompts = load_prompts(write_profile(tmp_path, answer={"user": "Look. {question}"}))
    assert isinstance(prompts, PromptSet)
    assert prompts.answer.messages(question="q?")[0]["content"] == "Look. q?"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"answer": {"user": "{query}"}}, "unknown field {query}"),
        ({"answer": {"user": "Look."}}, "does not show {question}"),
        ({"answer": {"user": ""}}, "user"),
        ({"answer": {"role": "corrector"}}, "must say 'answer'"),
        ({"answer": {"temperature": 3}}, "temperature"),
        ({"verifier": {"options": ["yes"]}}, "two replies"),
        ({"corrector": {"ask": {"user": "{question}", "schema": {"type": "array"}}}}, "object"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, dict[str, object]], says: str
) -> None:
    with pytest.raises(PromptRefused) as refusal:
        load_prompts(write_profile(tmp_path, **changes))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", [": [", "- a\n- b\n", "\x00"])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (write_profile(tmp_path) / "answer.yaml").write_text(text, "utf-8")
    with pytest.raises(PromptRefused, match=r"answer\.yaml"):
        load_prompts(tmp_path)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(PromptRefused, match="instruct, reference"):
        load_prompts("klingon")


def test_a_profile_with_a_role_missing_is_refused(tmp_path: Path) -> None:
    (write_profile(tmp_path) / "verifier.yaml").unlink()
    with pytest.raises(PromptRefused, match=r"verifier\.yaml"):
        load_prompts(tmp_path)


def test_a_field_that_is_not_given_is_named() -> None:
    with pytest.raises(PromptRefused, match="'question'"):
        load_prompts("reference").answer.messages()
