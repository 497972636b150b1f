"""Texts in composed form, with the places of their characters in the original."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from imc_agents.language.normal_form import composed
from imc_agents.language.words import words_of

MARKED = st.text(st.sampled_from("aeo lr\u0301\u0308\u0327\u030d"), max_size=12)


@given(MARKED)
def test_places_lead_back_to_the_letters(text: str) -> None:
    plain, places = composed(text)
    assert plain == unicodedata.normalize("NFC", text)
    assert len(places) == len(plain) + 1 and places == sorted(places)
    for at in range(len(plain)):
        if at == 0 or places[at] > places[at - 1]:  # a letter, with all its marks behind it
            assert unicodedata.normalize("NFC", text[places[at] :]) == plain[at:]


def test_a_decomposed_accent_parts_no_word() -> None:
    question = "Is the uppe\u0301r lobe normal?"
    assert [word.text for word in words_of(question)][2] == "uppe\u0301r"
