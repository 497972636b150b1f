"""A question that asks with no word has lost one; nothing else is ever guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc_agents.corrections.lost_words import likeliest, lost_words
from imc_agents.corrections.proposals import apply_edits
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import protected_violations
from imc_agents.state import Edit
from tests.fakes import small_lexicon

POLICY = Policy()

ASKS_IN_NO_WAY = [
    ("the lungs healthy in this image?", "are the lungs healthy in this image?"),
    ("The lungs healthy in this image?", "Are the lungs healthy in this image?"),
    ("There any lesion in the lung?", "Is there any lesion in the lung?"),
    ("Modality is used here?", "What modality is used here?"),
    ("Part of the body is shown?", "Which part of the body is shown?"),
    ("In plane is this image scanned?", "In what plane is this image scanned?"),
    ("What the main organ in the image?", "What is the main organ in the image?"),
    ("MRI sequence is this?", "What MRI sequence is this?"),
]

LEFT_ALONE = [
    "Is the lung healthy?",
    "Diaphragm is elevated on which side?",
    "The image is taken in what plane?",
    "Describe the lung in this image?",
    "Lung healthy?",
    "The lungs healthy in this image.",
    "lung lesion in the left lobe",
    "Left lung or right lung?",
    "Compared with the left, has the right lung changed?",
    "In this image, is the lung healthy?",
    "And the liver is it healthy?",
    "User: Is the lung healthy?",
    "Lung (is it healthy)?",
    "This is a healthy lung?",
    "They are in the lung?",
    "What the image shows is a lung?",
    "Is it? The lungs healthy in it?",
    "In the left lung?",
    "",
    "?",
]


@pytest.mark.parametrize(("written", "meant"), ASKS_IN_NO_WAY)
def test_what_was_lost_is_among_the_readings(written: str, meant: str) -> None:
    edits = lost_words(written, small_lexicon(["part", "mri"]), POLICY)
    assert meant in [apply_edits(written, [edit]) for edit in edits]
    assert all(edit.guess and edit.kind == "word_drop" for edit in edits)
    assert {edit.margin for edit in edits} == {POLICY.margins.lost}


@pytest.mark.parametrize("question", LEFT_ALONE)
def test_a_question_that_asks_has_lost_nothing(question: str) -> None:
    assert lost_words(question, small_lexicon(), POLICY) == []


def test_a_misspelt_first_word_is_repaired_rather_than_preceded() -> None:
    assert lost_words("Hwat organ seen in this image?", small_lexicon(), POLICY) == []


@given(
    st.lists(
        st.sampled_from(
            "the left right no not lung lungs two T1 MRI without normal in of any there is 3 cm "
            "what axial either increased".split()
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_guess_adds_words_and_takes_none_and_no_protected_one(words: list[str]) -> None:
    question = " ".join(words) + "?"
    for edit in lost_words(question, small_lexicon(), POLICY):
        if "many" in edit.after:  # a rival reading, which the verifier refuses
            continue
        text = apply_edits(question, [edit])
        kept = iter(text.lower().rstrip("?").split())
        assert all(word.lower() in kept for word in words)  # all of them, in their order
        assert protected_violations(question, text) == []


def guess(reading: str, gain: float | None) -> Edit:
    return Edit(
        start=0,
        end=4,
        before="Lung",
        after=f"{reading} lung",
        kind="word_drop",
        cost=3.0,
        gain=gain,
        guess=True,
    )


def test_ways_to_ask_for_the_same_do_not_compete() -> None:
    found = likeliest([guess("Is", 10.0), guess("Are", 9.9), guess("What", 5.0)], lead=2.0)
    assert found is not None
    assert found.after == "Is lung"


def test_where_another_thing_may_be_asked_for_nothing_is_guessed() -> None:
    assert likeliest([guess("Is", 10.0), guess("What", 9.0)], lead=2.0) is None
    assert likeliest([guess("Is", 10.0), guess("Where is", 7.9)], lead=2.0) is not None


def test_ways_to_ask_for_the_same_add_up() -> None:
    close = [guess("Is", 10.0), guess("Are", 10.0), guess("Does", 10.0), guess("What", 9.0)]
    assert likeliest(close, lead=2.0) is not None  # three of e^10 lead one of e^9 by 2.1 nats


def test_unscored_guesses_are_none() -> None:
    assert likeliest([], lead=2.0) is None
    assert likeliest([guess("Is", None)], lead=2.0) is None
