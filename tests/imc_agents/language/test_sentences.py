"""Which sentences belong to a question, and how one is left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.corrections.irrelevant_sentences import irrelevant_sentences
from imc_agents.corrections.proposals import apply_edits
from imc_agents.language.sentences import split_sentences
from imc_agents.policy import Policy

TEXTS = st.lists(
    st.sampled_from(
        [
            "Lunch was late.",
            "He is 45.",
            "Is it normal?",
            "Where is the mass?",
            "It is 3.5 cm.",
        ]
    ),
    min_size=1,
    max_size=5,
)


def cut(question: str) -> str:
    """The question when every sentence that does not ask is unlikely."""
    sentences = split_sentences(question)
    per_char = [-1.0 if sentence.asks else -3.0 for sentence in sentences]
    return apply_edits(
        question,
        irrelevant_sentences(question, sentences, per_char, Policy(), lambda sentence: False),
    )


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("Lunch was late. Where is the mass?", "Where is the mass?"),
        ("Where is the mass? Lunch was late. He slept.", "Where is the mass?"),
        ("Lunch was late. Where is the mass? He slept. He ate.", "Where is the mass?"),
        ("Lunch was late.\nWhere is the mass?", "Where is the mass?"),
        ("Lunch was late\n\nWhere is the mass?", "Where is the mass?"),
        ("Where is the mass?", "Where is the mass?"),
        # a line's end is not a sentence's
        ("Where\nin the left lung\nis the mass?", "Where\nin the left lung\nis the mass?"),
        ("Lunch was late and\nwhere is the mass?", "Lunch was late and\nwhere is the mass?"),
        # a question that leans on what stands before it keeps it
        ("The mass is new. Is it benign?", "The mass is new. Is it benign?"),
        ("The mass is new. Where is the mass?", "The mass is new. Where is the mass?"),
    ],
)
def test_only_sentences_that_bear_on_nothing_are_left_out(question: str, kept: str) -> None:
    assert cut(question) == kept


@settings(deadline=None)  # a busy machine is not a slow function
@given(texts=TEXTS)
def test_sentences_lie_side_by_side_where_they_say(texts: list[str]) -> None:
    question = " ".join(texts)
    sentences = split_sentences(question)
    assert [sentence.text for sentence in sentences] == texts
    assert all(question[one.start : one.end] == one.text for one in sentences)


@settings(deadline=None)  # a busy machine is not a slow function
@given(texts=TEXTS)
def test_every_sentence_that_asks_is_kept(texts: list[str]) -> None:
    left = [sentence.text for sentence in split_sentences(cut(" ".join(texts)))]
    asking = [text for text in texts if text.endswith("?")]
    assert [text for text in left if text.endswith("?")] == asking
    assert left or not texts
