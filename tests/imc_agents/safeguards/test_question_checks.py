"""A question is refused where it enters, in one line, or passes unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.errors import QuestionRefused
from imc_agents.safeguards.question_checks import BIDIRECTIONAL, MAX_CHARACTERS, check_question


@pytest.mark.parametrize(
    "question",
    [
        "Is there a lesion?",
        "¿Hay una lesión en el hígado?",
        "肝脏正常吗?",
        "هل الكبد طبيعي؟",
        "Is this OK? 👩🏽‍⚕️🫁",
        "two\nlines\tand a tab",
        "{question} %s \\n <b> <image> <|assistant|>",
        "x" * MAX_CHARACTERS,
    ],
)
def test_questions_of_any_language_pass_unchanged(question: str) -> None:
    assert check_question(question) == question


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("\u3000", "empty"),
        ("x" * (MAX_CHARACTERS + 1), "over the limit"),
        ("is\x00it?", "U+0000"),
        ("is\x1b[31mit?", "U+001B"),
        ("is\u202eit?", "bidirectional"),
        ("is\ud800it?", "UTF-8"),
        (None, "NoneType"),
        (b"is it?", "bytes"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(question: object, says: str) -> None:
    with pytest.raises(QuestionRefused) as refusal:
        check_question(question)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@settings(deadline=None)  # a busy machine is not a slow function
@given(text=st.text(), control=st.sampled_from(sorted(BIDIRECTIONAL)), at=st.integers(0, 50))
def test_a_bidirectional_control_is_found_wherever_it_stands(
    text: str, control: str, at: int
) -> None:
    with pytest.raises(QuestionRefused):
        check_question(text[:at] + control + text[at:])


@settings(deadline=None)  # a busy machine is not a slow function
@given(text=st.text(max_size=300))
def test_a_refusal_never_quotes_the_question(text: str) -> None:
    corrupted = "Mrs Doe 1931\x00" + text
    with pytest.raises(QuestionRefused) as refusal:
        check_question(corrupted)
    assert "Doe" not in str(refusal.value)
