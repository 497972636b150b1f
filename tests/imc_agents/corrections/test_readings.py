"""What grammar rules out is no reading of a word; what it allows stays one."""

from __future__ import annotations

import pytest

from imc_agents.corrections.correction_candidates import CorrectionCandidate
from imc_agents.corrections.proposals import proposed
from imc_agents.corrections.readings import UNREACHABLE, readable
from imc_agents.language.lexicon import known_words
from imc_agents.language.words import words_of
from imc_agents.policy import Policy


def kept(question: str, written: str, *readings: str) -> dict[str, float]:
    """Margins of the readings of a word that stay, each offered at a margin of 6 nats."""
    (word,) = (one for one in words_of(question) if one.text == written)
    offered = [CorrectionCandidate(one, 3.0, "typo", 6.0) for one in readings]
    return {one.word: one.margin for one in readable(offered, question, word)}


@pytest.mark.parametrize(
    ("question", "written", "never", "still"),
    [
        ("Is there od on this image?", "od", ("of", "on", "the"), ("odd",)),
        ("Is there z nodule?", "z", ("the",), ("a",)),
        ("Are the xs normal?", "xs", ("is", "as", "of"), ("axis",)),
        ("Is this aan MRI?", "aan", ("the",), ("an", "a")),
        ("Is there any ib the left lung?", "ib", ("is", "the", "there"), ("in",)),
        ("Is thw on insulin?", "thw", ("the", "a"), ("who",)),
        ("Is ther LVH?", "ther", ("the",), ("there",)),
        ("Where is ther LVH?", "ther", (), ("the", "there")),
        ("Is it ip along the lines?", "ip", ("it", "along"), ("up",)),
        ("What lies anterior tz?", "tz", ("to", "the"), ("it",)),
        ("His lung is clear?", "His", ("is",), ("this",)),
        ("His there a mass?", "His", (), ("is", "this")),
        ("Is ther ann over-inflated cuff?", "ann", (), ("an",)),
    ],
)
def test_a_reading_fits_its_neighbours(
    question: str, written: str, never: tuple[str, ...], still: tuple[str, ...]
) -> None:
    assert kept(question, written, *never, *still) == dict.fromkeys(still, 6.0)


def test_what_may_not_be_chosen_competes() -> None:
    found = kept("Are thre 7 lesions?", "thre", "the", "there", "t")
    assert found == {"the": UNREACHABLE, "there": 6.0, "t": UNREACHABLE}


@pytest.mark.parametrize(
    ("question", "before", "after"),
    [
        ("Is there a le sion?", "le sion", "lesion"),
        ("Is there an ef fusion?", "ef fusion", "effusion"),
        ("Is the lesion on the (rihgt)?", "rihgt", "right"),
        ("Is the lugn normal? Is the lugn clear?", "lugn", "lung"),
        ("What os the finding?", "os", "is"),
    ],
)
def test_slips_beside_shorthand_brackets_and_repeats_are_read(
    question: str, before: str, after: str
) -> None:
    edits = proposed(question, known_words(), Policy())
    assert (before, after) in {(edit.before, edit.after) for edit in edits}


@pytest.mark.parametrize(
    ("question", "written"),
    [
        ("Is there sdh?", "sdh"),
        ("Is the qzv wide and the qzv long?", "qzv"),
        ("Are the filaments (IFs) stained?", "IFs"),
        ("Is the lacertus fibrosus tight?", "fibrosus"),
        ("Is the rv larger than the lv?", "the rv"),
        ("What does the SEM show?", "the SEM"),
        ("Is it at the site of surgery?", "site"),
    ],
)
def test_what_is_meant_as_written_has_no_reading(question: str, written: str) -> None:
    edits = proposed(question, known_words(), Policy())
    readings = {edit.after.lower() for edit in edits if edit.before == written}
    assert not readings & {"sac", "is", "fibrosis", "there", "these", "size", "side"}
    if written in ("sdh", "qzv", "IFs"):
        assert not readings
