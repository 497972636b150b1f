"""British and American spelling are two ways to write one word."""

from __future__ import annotations

import pytest

from imc_agents.corrections.correction_candidates import another_form
from imc_agents.language.lexicon import known_words
from imc_agents.safeguards.protected import protected_violations

PAIRS = [
    ("haemorrhage", "hemorrhage"),
    ("oedema", "edema"),
    ("oesophagus", "esophagus"),
    ("tumour", "tumor"),
    ("fibres", "fibers"),
    ("visualised", "visualized"),
    ("labelled", "labeled"),
]


@pytest.mark.parametrize(("british", "american"), PAIRS)
def test_a_british_spelling_is_known_and_no_slip_of_the_american_one(
    british: str, american: str
) -> None:
    assert british in known_words()
    assert another_form(british, american)


@pytest.mark.parametrize("slip", ["goed", "heort", "lugn", "spien"])
def test_a_slip_is_not_taken_for_a_british_spelling(slip: str) -> None:
    assert slip not in known_words()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ileum", "ilium"),
        ("humeral", "femoral"),
        ("carotid", "parotid"),
        ("ureter", "urethra"),
        ("bronchial", "brachial"),
        ("perineal", "peroneal"),
        ("dysphagia", "dysphasia"),
    ],
)
def test_words_that_differ_by_a_sound_and_name_another_thing_are_protected(
    one: str, other: str
) -> None:
    assert protected_violations(f"Is the {one} seen?", f"Is the {other} seen?")
    assert protected_violations(f"Is the {other} seen?", f"Is the {one} seen?")
