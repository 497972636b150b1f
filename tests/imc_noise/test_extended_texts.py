"""What each extended text noise does to a question."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from imc_noise import apply_text
from imc_noise.data_files import read_table
from imc_noise.text.words import units_of

ASKED = "Is there a 1.5 cm mass with calcification in the right kidney?"
SEEDS = range(25)


def corrupted(name: str, text: str = ASKED, severity: float = 3, seed: int = 0) -> str:
    return apply_text(name, text, severity, np.random.default_rng(seed))


def words(text: str) -> list[str]:
    return [unit.text.lower() for unit in units_of(text)]


def test_what_is_written_together_is_one_unit() -> None:
    assert words("BP 120/80, x-ray: T2-weighted 1.5 cm.") == [
        "bp",
        "120/80",
        "x-ray",
        "t2-weighted",
        "1.5",
        "cm",
    ]


@pytest.mark.parametrize("name", ["word_swap", "repetition", "redaction", "ocr_line_breaks"])
def test_numbers_stay_whole_or_go_whole(name: str) -> None:
    for seed in SEEDS:
        result = corrupted(name, severity=5, seed=seed)
        assert result.count("1") == result.count("1.5") == result.count("5")


def test_transpose_keeps_every_word_s_letters() -> None:
    for seed in SEEDS:
        after = words(corrupted("transpose", seed=seed))
        assert [sorted(word) for word in after] == [sorted(word) for word in words(ASKED)]
        assert after != words(ASKED)


def test_word_swap_keeps_the_words_the_mark_and_the_capital() -> None:
    for seed in SEEDS:
        result = corrupted("word_swap", severity=5, seed=seed)
        assert sorted(words(result)) == sorted(words(ASKED))
        assert words(result) != words(ASKED)
        assert result.endswith("?")
        assert result[0].isupper()
        assert "is" not in result.split()[0] or result.startswith("Is")


def test_repetition_only_adds_words_right_behind_themselves() -> None:
    for seed in SEEDS:
        after = words(corrupted("repetition", seed=seed))
        assert [w for i, w in enumerate(after) if i == 0 or after[i - 1] != w] == words(ASKED)


def test_case_and_punctuation_keep_the_letters() -> None:
    results = {corrupted("case_punctuation", severity=5, seed=seed) for seed in SEEDS}
    assert all(words(result) == words(ASKED) for result in results)
    assert {result.endswith("??") for result in results} == {True, False}


def test_abbreviations_are_clinical_shorthand() -> None:
    asked = "Does the patient have a history of fracture?"
    assert corrupted("abbreviation", asked, 5) in {
        f"Does the pt have a hx of {short}?" for short in ("fx", "#")
    }
    assert corrupted("abbreviation", "modality") == "mdlty"
    assert corrupted("abbreviation", "pleural effusion") == "pl eff"


def test_the_table_of_abbreviations_is_lower_case_and_shortens() -> None:
    rows = read_table("abbreviations.tsv")
    assert len({row[0] for row in rows}) == len(rows)
    for long, *shorts in rows:
        assert long == long.lower().strip()
        assert shorts
        assert all(short and len(short) < len(long) for short in shorts)


def test_line_breaks_are_undone_by_joining_the_lines() -> None:
    for seed in SEEDS:
        result = corrupted("ocr_line_breaks", severity=5, seed=seed)
        assert "\n" in result
        assert result.replace("-\n", "").replace("\n", " ") == ASKED


def test_redaction_blacks_out_content_first_and_leaves_a_word() -> None:
    lost: Counter[str] = Counter()
    for seed in range(120):
        left = words(corrupted("redaction", severity=2, seed=seed))
        lost.update(set(words(ASKED)) - set(left))
    assert lost["kidney"] > 1.5 * lost["the"] > 0
    assert corrupted("redaction", "kidney?", 5) == "kidney?"
    assert sum(w == "___" for w in corrupted("redaction", "left kidney", 5).split()) == 1
