"""Dots that end a sentence, and those that do not."""

from __future__ import annotations

import pytest

from imc_agents.language.sentences import split_sentences
from imc_agents.language.words import words_of

ONE_SENTENCE = [
    "History of stroke, is the lt. side normal?",
    "Is the rt. lung clear?",
    "Is the L. kidney or the R. MCA shown?",
    "Is there bilat. LVH?",
    "Is the ant. wall or the post. wall thick?",
    "Is it approx. 3 cm?",
    "Is this PA vs. AP?",
    "Does the pt. have a mass?",
    "Did Dr. Smith see it?",
    "Was 20 mL/h q.d. given?",
    "Was it given b.i.d. or t.i.d. at home?",
    "Is there a calcif. LAD?",
    "Is slice no. 4 normal?",
    "Is he 40 yrs. old?",
    "Is the U.S. image normal?",
]
TWO_SENTENCES = [
    ("Lunch was served. Is it normal?", 2),
    ("lunch was served. is it normal?", 2),
    ("He is 45. Is it normal?", 2),
    ("It measures 5 mm. Is it benign?", 2),
    ("Is the tip at T4? Lunch was late.", 2),
    ("Known hepatitis. Is the liver normal?", 2),
    ("Is it in the lugn. The nurse called.", 2),
    ("Is it new... Lunch was late.", 2),
    ("Is the lt. lung clear? Lunch was late. Tea was served.", 3),
]


@pytest.mark.parametrize("question", ONE_SENTENCE)
def test_the_dot_of_an_abbreviation_ends_no_sentence(question: str) -> None:
    assert [sentence.text for sentence in split_sentences(question)] == [question]


@pytest.mark.parametrize(("question", "count"), TWO_SENTENCES)
def test_other_dots_end_one(question: str, count: int) -> None:
    assert len(split_sentences(question)) == count


def test_an_abbreviation_is_marked_and_what_follows_it_begins_no_sentence() -> None:
    words = {word.text: word for word in words_of("Is the ant. wall thick? Lunch was late.")}
    assert words["ant"].abbreviated and not words["wall"].begins
    assert not words["thick"].abbreviated and words["Lunch"].begins
    assert not words["late"].abbreviated
