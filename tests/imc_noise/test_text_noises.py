"""What holds for every text noise, and what each of the five does to a question."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_noise import CORE_TEXT, EXTENDED_TEXT, apply_text, noise_rng
from imc_noise.data_files import read_table
from imc_noise.text.spelling import _neighbours
from imc_noise.text.words import words_of

QUESTIONS = (
    "Is there evidence of a pleural effusion in the left lung?",
    "What modality was used to take this image?",
    "How many kidneys are visible?",
)
ALL_TEXT = CORE_TEXT + EXTENDED_TEXT
LONG = "Is there evidence of pleural effusion with fracture in the left upper chest of the patient?"
names = st.sampled_from(ALL_TEXT)
severities = st.floats(1.0, 5.0)


def corrupted(name: str, text: str, severity: float = 3, seed: int = 0) -> str:
    return apply_text(name, text, severity, np.random.default_rng(seed))


@given(names, st.text(max_size=60), severities, st.integers(0, 99))
@settings(max_examples=240, deadline=None)
def test_any_text_gives_valid_text_never_blank_and_always_the_same(
    name: str, text: str, severity: float, seed: int
) -> None:
    result = corrupted(name, text, severity, seed)
    assert result.strip() or not text.strip()
    assert result == corrupted(name, text, severity, seed)
    result.encode("utf-8")


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
@pytest.mark.parametrize("name", ALL_TEXT)
def test_blank_text_comes_back_as_it_was(name: str, text: str) -> None:
    assert corrupted(name, text) == text


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", ALL_TEXT)
def test_something_changes_at_every_severity(name: str, question: str, severity: int) -> None:
    assert all(corrupted(name, question, severity, seed) != question for seed in range(20))


@pytest.mark.parametrize("name", ALL_TEXT)
def test_change_grows_with_severity_under_one_seed(name: str) -> None:
    # Few words of a short question have a short form.
    asked = LONG if name == "abbreviation" else QUESTIONS[0]

    def changes(severity: float, seed: int) -> int:
        before, after = asked.split(), corrupted(name, asked, severity, seed).split()
        kept = sum(min(before.count(word), after.count(word)) for word in set(before))
        return max(len(before), len(after)) - kept

    grown = np.array(
        [[changes(s, seed) for s in (1, 1.7, 2, 2.9, 3, 4, 4.5, 5)] for seed in range(25)]
    )
    assert (np.diff(grown, axis=1) >= 0).all()
    assert (np.diff(grown.mean(axis=0)[[0, 2, 4, 5, 7]]) > 0).all()


@pytest.mark.parametrize("name", ["typo", "ocr", "homophone", "word_drop"])
def test_the_question_mark_stays_at_the_end(name: str) -> None:
    assert all(corrupted(name, q, 5, seed).endswith("?") for q in QUESTIONS for seed in range(10))


@pytest.mark.parametrize("name", ["typo", "homophone", "word_drop"])
def test_a_capital_at_the_start_stays(name: str) -> None:
    results = [corrupted(name, q, 4, seed) for q in QUESTIONS for seed in range(30)]
    # A dropped capital letter is a slip like any other; nothing else may lose it.
    assert np.mean([result[0].isupper() for result in results]) > 0.9


def test_emoji_and_spaces_are_nobodys_typo() -> None:
    result = corrupted("typo", "mass 👩‍⚕️ here ❤️ ?", 5)
    assert "👩‍⚕️" in result
    assert "❤️" in result


def test_keyboard_neighbours_touch() -> None:
    near = _neighbours()
    assert set(near["g"]) == set("tyfhvb")
    assert "p" not in near["q"]
    assert all(letter in near[other] for letter, others in near.items() for other in others)


def test_typo_leaves_numbers_alone() -> None:
    assert all("120/80" in corrupted("typo", "is 120/80 mmHg normal?", 5, s) for s in range(20))


def test_ocr_confuses_shapes() -> None:
    seen = {corrupted("ocr", "burn", 1, seed) for seed in range(60)}
    assert "bum" in seen
    assert {corrupted("ocr", "clO", 1, seed) for seed in range(60)} >= {"dO", "cl0"}


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("ileum", {"ilium"}),
        ("pleural", {"plural"}),
        ("Peroneal", {"Perineal"}),
        ("ILEUM", {"ILIUM"}),
        ("humerus", {"humorous"}),
        ("there", {"their", "they're"}),
        ("a cyst", {"assist"}),
    ],
)
def test_dictation_hears_a_word_that_sounds_the_same(said: str, heard: set[str]) -> None:
    assert {corrupted("homophone", said, 5, seed) for seed in range(30)} == heard


def test_dictation_spells_by_sound_what_has_no_homophone() -> None:
    assert corrupted("homophone", "Pneumonectomy") == "Numonektomy"
    assert corrupted("homophone", "肝脏") == "肝脏"


def test_every_homophone_row_has_words_to_choose_from() -> None:
    rows = read_table("homophones.tsv")
    assert all(len(row) >= 2 and len(set(row)) == len(row) for row in rows)
    assert all(word == word.strip().lower() and word for row in rows for word in row)


def test_word_drop_keeps_order_and_one_word() -> None:
    for seed in range(30):
        left = [w.text.lower() for w in words_of(corrupted("word_drop", QUESTIONS[0], 5, seed))]
        said = iter(QUESTIONS[0].lower().rstrip("?").split())
        assert left
        assert all(word in said for word in left)
    assert corrupted("word_drop", "MRI?", 5) == "MRI?"


def test_word_drop_loses_small_words_first_but_not_only() -> None:
    lost = [
        set(QUESTIONS[1][:-1].lower().split())
        - {w.text.lower() for w in words_of(corrupted("word_drop", QUESTIONS[1], 1, seed))}
        for seed in range(200)
    ]
    small = sum("to" in words for words in lost)
    assert small > sum("image" in words for words in lost) > 0


def test_a_distractor_leaves_the_question_whole_and_shares_no_word_with_it() -> None:
    for seed in range(30):
        result = corrupted("distractor", "Does the patient have a mass?", 5, seed)
        added = result.replace("Does the patient have a mass?", "", 1)
        assert added != result
        assert not {"patient", "patient's"} & {w.text.lower() for w in words_of(added)}


def test_a_distractor_stands_on_either_side_but_before_what_has_no_end() -> None:
    asked = "is there a mass?"
    sides = {corrupted("distractor", asked, 1, seed).startswith(asked) for seed in range(30)}
    assert sides == {True, False}
    assert all(
        corrupted("distractor", "is there a mass", 5, seed).endswith(". is there a mass")
        for seed in range(30)
    )


def test_stable_draws_for_published_cells() -> None:
    first = apply_text("typo", QUESTIONS[0], 3, noise_rng("item", "typo", 3))
    assert first == apply_text("typo", QUESTIONS[0], 3, noise_rng("item", "typo", 3.0))
