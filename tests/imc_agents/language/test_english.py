"""Which questions are English, however corrupted, and which are another language's."""

from __future__ import annotations

import pytest

from imc_agents.language.english import why_not_english
from imc_agents.language.lexicon import known_words
from imc_noise import CORE_TEXT, apply_text, noise_rng
from tests.imc_agents.traps import read_traps

ENGLISH = [
    "Is the lung normal?",
    "Is there situs inversus?",
    "Is this carcinoma in situ?",
    "Is there a de novo lesion?",
    "Is the os calcis fractured?",
    "Si tbe esophagus visible?",
    "s thhere a localized nass?",
    "What si ths organ?",
    "Is this the Sjo\u0308gren patient?",
    "Fracture of the left 5th rib?",
    "Cardiomegaly?",
    "hat organ ysstem iw shown?",
]


@pytest.mark.parametrize("question", ENGLISH)
def test_english_is_read_also_where_it_is_misspelt(question: str) -> None:
    assert why_not_english(question, known_words()) is None


@pytest.mark.parametrize(
    "question", [trap.question for trap in read_traps() if trap.kind == "language"]
)
def test_other_languages_are_recognised_with_and_without_their_accents(question: str) -> None:
    assert why_not_english(question, known_words())


def test_a_sentence_of_another_language_is_found_among_english_ones() -> None:
    mixed = "Is the lung normal? Is er een laesie in de linkerlong?"
    assert why_not_english(mixed, known_words())


@pytest.mark.parametrize("kind", CORE_TEXT)
def test_the_noises_of_the_benchmark_leave_a_question_english(kind: str) -> None:
    questions = [trap.question for trap in read_traps() if trap.kind in ("negation", "laterality")]
    for question in questions:
        noisy = apply_text(kind, question, 3, noise_rng(question, kind, 3, 0))
        assert why_not_english(noisy, known_words()) is None, noisy
