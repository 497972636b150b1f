"""Worked examples of the three scoring rules, and what holds of them for all answers."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc_bench.errors import ScoreRefused
from imc_bench.metrics.scoring import RULES, llavamed_normalise, lmms_normalise, score
from imc_data.items import VQAItem
from imc_data.strict_match import is_right, normalise_answer


def item(answer: str, closed: bool = False) -> VQAItem:
    return VQAItem("1", Path("a.png"), "a", "What?", answer, closed, "other")


@pytest.mark.parametrize(
    ("predicted", "answer", "right"),
    [
        ("Yes.", "yes", True),
        ("Yes, there is a lesion", "Yes", True),
        ("no", "No", True),
        ("The heart looks normal", "No", False),  # the "no" of "normal" is none
        ("unknown", "no", False),
        ("yes and no", "yes", False),  # both
        ("maybe", "yes", False),  # neither
        ("", "no", False),
        ("The right side.", "Right side", True),  # closed, but not yes/no: exact match
        ("right", "Right side", False),
        ("ct", "CT", True),
    ],
)
def test_strict_closed(predicted: str, answer: str, right: bool) -> None:
    told = score("strict", predicted, item(answer, closed=True))
    assert told.correct is right
    assert told.value == float(right)
    assert told.counted, "a wrong answer stays in the denominator"


@pytest.mark.parametrize(
    ("predicted", "answer", "right", "recall", "f1"),
    [
        ("The liver.", "Liver", True, 1.0, 1.0),
        ("liver and spleen", "liver", False, 1.0, 1 / 2),
        ("right lung", "left lung", False, 1 / 2, 1 / 2),
        ("lung lung", "lung", False, 1.0, 2 / 3),  # the second lung is one too many
        ("lung", "lung lung", False, 1 / 2, 2 / 3),
        ("lung lung", "lung heart", False, 1 / 2, 1 / 2),
        ("", "lung", False, 0.0, 0.0),
        ("2", "2", True, 1.0, 1.0),
    ],
)
def test_strict_open(predicted: str, answer: str, right: bool, recall: float, f1: float) -> None:
    told = score("strict", predicted, item(answer))
    assert told.correct is right
    assert told.recall == pytest.approx(recall)
    assert told.f1 == pytest.approx(f1)


def token_f1(predicted: str, answer: str) -> float:
    """F1 over the multisets of words, written out a second time to check the first."""
    said, truth = normalise_answer(predicted).split(), normalise_answer(answer).split()
    if not said or not truth:
        return float(said == truth)
    common = sum((Counter(said) & Counter(truth)).values())
    return 2 * common / (len(said) + len(truth))


@given(predicted=st.text(), answer=st.text(min_size=1), closed=st.booleans())
def test_strict_is_the_rule_of_the_reference_model(
    predicted: str, answer: str, closed: bool
) -> None:
    told = score("strict", predicted, item(answer, closed))
    assert told.correct == is_right(predicted, answer, closed=closed)
    assert told.f1 == pytest.approx(token_f1(predicted, answer))


@pytest.mark.parametrize(
    ("predicted", "answer", "correct", "counted"),
    [
        ("Yes", "yes", True, True),
        ("Yes", "no", False, False),  # a wrong yes/no is not counted
        ("It is normal", "no", True, True),  # "no" inside "normal"
        ("It is normal", "yes", False, False),
        ("yes and no", "no", True, True),  # both are right for either
        ("maybe", "yes", False, True),  # only neither is wrong
        ("left", "left", False, True),  # not yes/no: never right
    ],
)
def test_llavamed_closed_quirks(predicted: str, answer: str, correct: bool, counted: bool) -> None:
    told = score("llavamed_compat", predicted, item(answer, closed=True))
    assert (told.correct, told.counted) == (correct, counted)


def test_llavamed_denominator_is_smaller_than_strict() -> None:
    answers = [("yes", "no"), ("no", "no"), ("maybe", "yes"), ("yes", "yes")]
    told = [score("llavamed_compat", said, item(truth, True)) for said, truth in answers]
    counted = [s.value for s in told if s.counted]
    assert sum(counted) / len(counted) == pytest.approx(2 / 3)
    strict = [score("strict", said, item(truth, True)).value for said, truth in answers]
    assert sum(strict) / len(strict) == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    ("predicted", "answer", "recall", "precision", "exact"),
    [
        ("the left lung", "left lung", 1.0, 1.0, 1.0),
        ("the left lung and heart", "left lung", 1.0, 1 / 2, 1 / 2),  # 2 of 4 words
        # a hit counts as often as it is predicted: 2 hits, 1 miss
        ("lung lung", "left lung", 2 / 3, 1.0, 1 / 2),
        ("two", "2", 1.0, 1.0, 1.0),
        ("", "lung", 0.0, 0.0, 0.0),
    ],
)
def test_llavamed_open(
    predicted: str, answer: str, recall: float, precision: float, exact: float
) -> None:
    told = score("llavamed_compat", predicted, item(answer))
    assert told.value == told.recall == pytest.approx(recall)
    assert told.precision == pytest.approx(precision)
    assert told.exact == pytest.approx(exact)


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("x-ray", "x ray"),
        ("x-ray of the right- sided lung", "xray of right sided lung"),  # a blank beside one
        ("3,5 cm/m", "35 cmm"),  # a comma between digits joins at every mark
        ("1.5 cm.", "1.5 cm"),
        ("none of the two", "0 of 2"),
        ("it isnt", "it isn't"),
    ],
)
def test_llavamed_normalises(answer: str, normalised: str) -> None:
    assert llavamed_normalise(answer) == normalised


@pytest.mark.parametrize(
    ("predicted", "answer", "right"),
    [
        ("Yes.", "yes", True),
        ("True", "Yes", True),
        ("nope!", "No", True),
        ("X-Ray", "x ray", True),
        ("xray", "X-Ray", True),
        ("CT (computed tomography)", "CT", True),
        ("Liver, Spleen", "liver spleen", True),
        ("the liver", "liver", False),  # articles stay
        ("yes, it is", "yes", False),  # an alias is the whole answer
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_lmms_eval(predicted: str, answer: str, right: bool, closed: bool) -> None:
    assert score("lmms_eval", predicted, item(answer, closed)).correct is right


@given(st.text())
def test_lmms_normal_form_is_lower_case_without_double_blanks(answer: str) -> None:
    form = lmms_normalise(answer)
    assert form == " ".join(form.split())


@given(
    words=st.lists(st.sampled_from(["yes", "no", "left", "lung", "2"]), min_size=1, max_size=5),
    closed=st.booleans(),
)
def test_the_truth_itself_is_right_for_open_answers_and_measures_stay_in_range(
    words: list[str], closed: bool
) -> None:
    answer = " ".join(words)
    for rule in RULES:
        told = score(rule, answer, item(answer, closed))
        assert told.correct or closed
        for measure in (told.value, told.recall, told.precision, told.f1, told.exact):
            assert 0 <= measure <= 1


def test_an_unknown_rule_is_refused_by_name() -> None:
    with pytest.raises(ScoreRefused, match="'bleu'.*strict, llavamed_compat, lmms_eval"):
        score("bleu", "a", item("a"))  # type: ignore[arg-type]
