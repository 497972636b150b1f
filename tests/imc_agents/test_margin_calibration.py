"""Margins from clean questions: as low as a stated share allows, never under their floors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.errors import MarginsRefused, QuestionRefused
from imc_agents.margin_calibration import (
    FEWEST,
    MANY,
    EditEvidence,
    at_most,
    calibrate_margins,
    choose_margins,
    fewest_questions,
    read_questions,
    upper_bound,
)
from imc_agents.policy import Margins, Policy
from imc_agents.thresholds import QuestionThresholds, beside
from prompts import load_prompts
from tests.fakes import small_chat, small_lexicon

FLOORS = Margins()


def chosen(
    worth: list[dict[str, float]], known: list[dict[str, float]] | None = None, **settings: float
) -> QuestionThresholds:
    pairs = zip(worth, worth if known is None else known, strict=True)
    shown = [EditEvidence(*pair) for pair in pairs]
    return choose_margins(shown, FLOORS, fingerprint="f" * 8, new_word=18.0, **settings)


def quiet(count: int) -> list[dict[str, float]]:
    """Clean questions in which nothing speaks for any edit."""
    return [{"out_of_lexicon": -5.0} for _ in range(count)]


def test_quiet_questions_leave_the_floors() -> None:
    found = chosen(quiet(1000))
    assert found.calibrated
    assert found.margins == FLOORS
    assert found.edited == 0


def test_loud_questions_raise_the_margins_until_they_are_left_alone() -> None:
    found = chosen(quiet(980) + [{"homophone": 11.0} for _ in range(20)])
    assert found.calibrated
    assert found.margins.homophone >= 11.0
    assert found.edited == 0


def test_a_model_knows_words_where_clean_questions_are_left_alone_with_it() -> None:
    loud = [{"homophone": 20.0} for _ in range(20)]
    assert chosen(quiet(2000)).knows_words
    found = chosen(quiet(2000), quiet(1980) + loud)
    assert not found.knows_words and found.margins == FLOORS and found.edited == 0
    raised = chosen(quiet(1980) + loud, quiet(2000))  # the floors do not hold: it is not tried
    assert not raised.knows_words
    assert not chosen(quiet(MANY - 1)).knows_words
    assert chosen(quiet(2000)).applied(Policy()).knows_words
    assert not chosen(quiet(2000)).applied(Policy(knows_words=False)).knows_words


def test_margins_rise_together_and_keep_their_order() -> None:
    found = chosen(quiet(980) + [{"out_of_lexicon": 9.0} for _ in range(20)]).margins
    assert found.homophone / FLOORS.homophone == pytest.approx(found.obscure / FLOORS.obscure)
    assert all(value >= floor for (_, value), (_, floor) in zip(found, FLOORS, strict=True))


def test_too_few_questions_keep_the_floors_and_say_so() -> None:
    found = chosen([{"homophone": 50.0} for _ in range(FEWEST - 1)])
    assert not found.calibrated
    assert found.margins == FLOORS
    assert found.edited == FEWEST - 1


def test_where_the_strictest_margins_still_edit_it_says_so() -> None:
    found = chosen([{"out_of_lexicon": 1000.0} for _ in range(1000)])
    assert not found.calibrated
    assert found.margins.out_of_lexicon > FLOORS.out_of_lexicon
    assert found.upper > 0.9


def test_the_questions_that_a_share_needs() -> None:
    assert fewest_questions(0.005, 0.95) == 598
    assert at_most(0, 598, 0.005) <= 0.05 < at_most(0, 597, 0.005)


@pytest.mark.parametrize(
    ("edited", "questions", "bound"), [(0, 598, 0.005), (0, 3000, 0.001), (5, 1000, 0.01048)]
)
def test_the_bound_is_that_of_clopper_and_pearson(
    edited: int, questions: int, bound: float
) -> None:
    assert upper_bound(edited, questions, 0.95) == pytest.approx(bound, rel=0.01)


@settings(deadline=None)  # 60 trials of 640 questions
@given(
    worth=st.lists(st.floats(-20, 40), min_size=1, max_size=40),
    share=st.floats(0.01, 0.2),
)
def test_what_is_called_calibrated_keeps_its_share(worth: list[float], share: float) -> None:
    shown = [{"obscure": nats} for nats in worth] + quiet(600)
    found = chosen(shown, share=share)
    assert found.edited == sum(nats > found.margins.obscure for nats in worth)
    assert not found.calibrated or found.upper <= share + 1e-6


def test_a_model_is_measured_on_its_own_evidence() -> None:
    found = calibrate_margins(
        small_chat(),
        load_prompts("instruct"),
        small_lexicon(),
        ["Is the lung normal?", "Is the lung normal?", "Is the lugn normal?"],
        fingerprint="f" * 8,
    )
    assert found.questions == 2
    assert found.over_floors == (2,)  # its place among those given
    assert "over_floors" not in found.model_dump()
    assert found.shown["out_of_lexicon"] == 1
    assert found.edited == 1
    assert not found.calibrated


def test_no_question_is_refused() -> None:
    with pytest.raises(QuestionRefused, match="no clean question"):
        calibrate_margins(
            small_chat(), load_prompts("instruct"), small_lexicon(), [], fingerprint="f"
        )


def test_a_file_of_questions_is_read_without_empty_lines_and_repeats() -> None:
    assert read_questions("Is it?\n\n Is it? \r\nWas\x0cit?") == {"Is it?": 1, "Was\x0cit?": 4}


def test_thresholds_survive_their_file_and_hold_no_question(tmp_path: Path) -> None:
    path = beside(tmp_path / "my-bank.safetensors")
    found = chosen(quiet(700))
    found.save(path)
    assert path.name == "my-bank.questions.json"
    assert QuestionThresholds.load(path, fingerprint="f" * 8) == found


def test_a_model_folders_own_thresholds_have_a_plain_name(tmp_path: Path) -> None:
    assert beside(tmp_path / "prototypes.safetensors").name == "questions.json"


def test_another_models_thresholds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.questions.json"
    chosen(quiet(700)).save(path)
    with pytest.raises(MarginsRefused, match="another model"):
        QuestionThresholds.load(path, fingerprint="other")


def test_thresholds_that_name_a_class_as_before_are_read(tmp_path: Path) -> None:
    path = tmp_path / "b.questions.json"
    found = chosen(quiet(600))
    found.save(path)
    path.write_text(path.read_text().replace('"homophone"', '"dictated"'))
    assert QuestionThresholds.load(path, fingerprint=None) == found


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"margins": {"homophone": -1}}'])
def test_a_corrupted_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "b.questions.json"
    path.write_text(content)
    with pytest.raises(MarginsRefused) as refused:
        QuestionThresholds.load(path, fingerprint=None)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarginsRefused, match="cannot be read"):
        QuestionThresholds.load(tmp_path / "none.json", fingerprint=None)


def test_margins_that_a_user_set_stand() -> None:
    found = chosen(quiet(980) + [{"homophone": 11.0} for _ in range(20)])
    own = Policy(margins=Margins(homophone=3.0))
    assert found.applied(Policy()).margins == found.margins
    assert found.applied(own).margins.homophone == 3.0
