"""Answers that differ in a sign, a side, a number or a name are never the same answer."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imc_data.strict_match import answer_tokens, is_right

DIFFERENT = """
ER- / ER+ ; ER / ER+ ; HER2 - / HER2+ ; ER⁻ / ER⁺ ; ER(-) / ER(+) ; +ve / -ve ; 2+ / 2 ; Na+ / Na
ER+ PR- / ER- PR+ ; ER - PR - / ER PR - ; Rh− / Rh
> 5 cm / < 5 cm ; ≥ 5 / > 5 ; >= 5 / <= 5 ; 5 / > 5 ; ~5 / 5 ; p = 0.05 / p < 0.05 ; left > right / left < right
-5 / 5 ; −5 / 5 ; +5 / 5 ; ±5 / -5 ; T-score -2.5 / T-score 2.5 ; 5, -3 / 5-3 ; 5 -3 / 5 - 3
T2 / T2* ; T2** / T2* ; HLA-B27 / HLA-B*27 ; e' / e ; 5' / 5" ; 5′ / 5″ ; C' / C
hepatitis / hepatitis A ; hepatitis a / hepatitis ; vitamin A deficiency / vitamin deficiency
type a dissection / type dissection ; A line / line ; A fib / fib ; A and B / B ; a / an ; group B / group A B
type is A positive / type is positive ; hepatitis B and A virus / hepatitis B and virus ; HEPATITIS A / HEPATITIS
I-II / I, II ; III/IV / III IV ; A-C / A C
1.5 / 15 ; 1.5 / 1 5 ; 1.5 / 1,5 ; .5 / 5 ; 0.5 / 5 ; 1-5 / 1.5 ; 1-5 / 1, 5 ; 10-20 / 10 20 ; 1:5 / 1.5 ; 10⁵ / 105
L4-L5 / L4 L5 ; C3-7 / C3, 7 ; 5% / 5 ; 5 mm / 5 cm ; 5 °C / 5 C ; ↑ T2 / ↓ T2 ; ♂ / ♀ ; II / III
"""  # noqa: E501
THE_SAME = [
    ("The liver.", "liver"),
    ("There is a mass", "there is mass"),
    ("A mass.", "mass"),
    ("THERE IS A MASS", "there is mass"),
    ("a 5 cm mass", "5 cm mass"),
    ("“Liver”", "liver"),
    ("**Liver**", "liver"),
    ("- liver", "liver"),
    ("X-ray", "x ray"),
    ("MR - Flair", "MR-FLAIR"),
    ("viral/inflammatory", "viral inflammatory"),
    ("Crohn’s", "Crohn's"),
    ("ER -", "ER-"),
    ("T2 ∗", "T2*"),
    (">5 cm", "> 5 cm"),
    (">= 5", "≥5"),
    ("−5", "-5"),
    (".5", "0.5"),
    ("1–5", "1-5"),
    ("5 %", "5%"),
    ("+/-", "±"),
    ("(A)", "A"),
    ("Hepatitis A.", "hepatitis a"),
]
SIGNS = "+-*<>≤≥±~%°↑↓′″=#"
WORDS = st.text(string.ascii_letters, min_size=3, max_size=8).filter(
    lambda word: word.lower() not in {"the", "yes"}
)


@pytest.mark.parametrize(
    ("one", "other"),
    [pair.split(" / ") for pair in DIFFERENT.strip().replace("\n", " ; ").split(" ; ")],
)
@pytest.mark.parametrize("closed", [False, True])
def test_a_sign_a_side_a_number_or_a_name_makes_another_answer(
    one: str, other: str, closed: bool
) -> None:
    assert not is_right(one, other, closed=closed)
    assert not is_right(other, one, closed=closed)


@pytest.mark.parametrize(("one", "other"), THE_SAME)
def test_layout_case_articles_and_punctuation_make_no_other_answer(one: str, other: str) -> None:
    assert is_right(one, other, closed=False)
    assert is_right(other, one, closed=False)


@given(answer=st.text(), closed=st.booleans())
def test_an_empty_answer_is_never_right(answer: str, closed: bool) -> None:
    for empty in ("", " ", ".", "?!", "\u200b", "''"):
        assert not is_right(empty, answer, closed=closed)


@given(answer=st.text())
def test_an_answer_is_right_for_itself_wherever_it_says_anything(answer: str) -> None:
    assert is_right(answer, answer, closed=False) is bool(answer_tokens(answer))


@given(one=st.text(), other=st.text())
def test_neither_answer_comes_first(one: str, other: str) -> None:
    assert is_right(one, other, closed=False) is is_right(other, one, closed=False)


@given(word=WORDS, sign=st.sampled_from(SIGNS), other=st.sampled_from(SIGNS))
def test_a_sign_behind_a_word_is_part_of_the_answer(word: str, sign: str, other: str) -> None:
    assert not is_right(word + sign, word, closed=False)
    assert is_right(f"{word} {sign}", word + sign, closed=False)
    assume(sign != other)
    assert not is_right(word + sign, word + other, closed=False)


@given(number=st.decimals(0, 1000, places=1), other=st.decimals(0, 1000, places=1), unit=WORDS)
def test_numbers_match_only_themselves(number: object, other: object, unit: str) -> None:
    assert not is_right(f"-{number} {unit}", f"{number} {unit}", closed=False)
    assert not is_right(f"< {number} {unit}", f"> {number} {unit}", closed=False)
    assume(number != other)
    assert not is_right(f"{number} {unit}", f"{other} {unit}", closed=False)
    assert not is_right(f"{number}-{other}", f"{other}-{number}", closed=False)


@given(name=WORDS, letter=st.sampled_from("abcdeABCDE"))
def test_a_letter_behind_a_name_is_part_of_it(name: str, letter: str) -> None:
    assume(name.lower() not in {"and", "for", "was", "are", "not", "has", "had", "but"})
    assert not is_right(f"{name} {letter}", name, closed=False)
    assert is_right(f"the {name} {letter.lower()}.", f"{name} {letter}", closed=False)
