"""The channel's price of a slip, and the noise that explains it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.language.noisy_channel import (
    KNOWN_MECHANISM,
    SOUNDS_ALIKE,
    UNEXPLAINED,
    slip,
    sounds_alike_cost,
)

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("meant", "written", "kind"),
    [
        ("lung", "lumg", "typo"),  # neighbouring keys
        ("heart", "haert", "typo"),  # two letters swapped
        ("lesion", "lession", "typo"),  # a letter doubled
        ("modality", "mdality", "typo"),  # a letter left out
        ("lung", "1ung", "ocr"),
        ("image", "irnage", "ocr"),
        ("there", "tliere", "ocr"),
    ],
)
def test_a_slip_is_named_by_what_explains_it(meant: str, written: str, kind: str) -> None:
    assert slip(meant, written).kind == kind


def test_a_known_mechanism_is_cheaper_than_an_unexplained_letter() -> None:
    assert slip("lung", "lumg").cost == KNOWN_MECHANISM
    assert slip("lung", "lupg").cost == UNEXPLAINED


@settings(deadline=None)  # a busy machine is not a slow function
@given(word=WORDS)
def test_a_word_written_as_meant_costs_nothing(word: str) -> None:
    assert slip(word, word.upper()).cost == 0.0


@settings(deadline=None)  # a busy machine is not a slow function
@given(meant=WORDS, written=WORDS)
def test_different_words_cost_something_and_sound_alikes_never_too_much(
    meant: str, written: str
) -> None:
    if meant.lower() != written.lower():
        assert slip(meant, written).cost >= KNOWN_MECHANISM
    assert sounds_alike_cost(meant, written) <= SOUNDS_ALIKE
