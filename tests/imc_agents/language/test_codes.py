"""Words of letters and digits: codes are kept, words with a misread letter may be repaired."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc_agents.language.codes import is_code

CODES = (
    "4a 3b 2a 1a 10x 2x 5F 18G 3T T1a t1a M1 n0 pT2 S1Q3T3 A1c Ki67 p53 C6 l5 G3P2 18F 99mTc 65yo "
    "72F 2D 21st 5mm 2wks 1week 3lesions grade3 stage2 segment5 V1 b3 HbA1c CA19 B5a Th12"
).split()
MISREAD = (
    "1eft p1eural le5ion 0f 1s 1n t0 a5 i5 5o f1uid he4rt 1ung ches7 9all r1b a1r h1p th3 0ne lung5"
).split()


@pytest.mark.parametrize("word", CODES)
def test_a_digit_that_carries_the_meaning_makes_a_code(word: str) -> None:
    assert is_code(word)


@pytest.mark.parametrize("word", MISREAD)
def test_a_digit_read_in_place_of_a_letter_makes_none(word: str) -> None:
    assert not is_code(word)


def test_a_capital_may_belong_to_a_misread_word_where_a_sentence_begins() -> None:
    assert is_code("I5") and not is_code("I5", begins=True)
    assert is_code("T0") and is_code("T0", begins=True)


@given(st.text("abcdeT0123456789", max_size=6))
def test_a_code_has_a_letter_and_a_digit(word: str) -> None:
    if is_code(word):
        assert any(map(str.isdecimal, word)) and any(map(str.isalpha, word))


@given(st.integers(0, 99999), st.sampled_from("abcdx"))
def test_two_digits_or_a_grade_are_always_a_code(number: int, letter: str) -> None:
    assert is_code(f"{number}{letter}")
