"""The sentences that a report begins with, worked out on paper."""

from __future__ import annotations

from pathlib import Path

from imc_bench.report.report import Report, make_report
from imc_bench.report.results import CLEAN
from imc_bench.report.verdict import details, headline
from tests.imc_bench.worked_run import LOW_DOSE, OCR, TYPO, WORKED, make_store


def test_the_headline_says_what_noise_costs_and_that_clean_inputs_stay(report: Report) -> None:
    # text noise: 40 % and 80 % right, mean 60 %; sms 60 % and 80 %, whose gain may be chance
    assert headline(report) == (
        "tiny <model> on phantom test (10 questions on 5 images): noise on the image lowers "
        "accuracy from 80.0 to 60.0 %; no method gains beyond the 95 % interval; no clean image "
        "and no clean question is changed; under 10 images the intervals are not reliable."
    )


def test_each_place_of_noise_has_a_sentence(tmp_path: Path) -> None:
    right = {
        (CLEAN, "none"): range(18),
        (CLEAN, "sms"): range(18),
        (TYPO, "none"): range(2),
        (TYPO, "sms"): range(10),
        (OCR, "none"): range(18),
        (OCR, "sms"): range(18),
        (LOW_DOSE, "none"): range(18),
        (LOW_DOSE, "sms"): range(18),
    }
    image, text = details(make_report(make_store(tmp_path / "run.db", right, items=20)))
    assert image == (
        "Noise on the image costs no accuracy and flips 0.0 % of the answers; no method gains "
        "accuracy beyond the 95 % interval."
    )
    assert text.startswith("Noise on the question costs 40.0 points; sms recovers 50 % of them")
    assert text.endswith("and removes 50.0 % of the flipped answers.")


def test_the_headline_names_what_a_method_changes_on_clean_inputs(tmp_path: Path) -> None:
    edits = {(CLEAN, "sms", n): {"question_edited": 1} for n in (0, 8)}
    said = headline(make_report(make_store(tmp_path / "run.db", WORKED, change=edits)))
    assert "; sms changes 2 of 10 clean questions; " in said


def test_a_data_set_without_a_split_leaves_no_gap(tmp_path: Path) -> None:
    change = {
        (condition, method, n): {"dataset": "mine.csv", "split": ""}
        for condition, method in WORKED
        for n in range(10)
    }
    said = headline(make_report(make_store(tmp_path / "run.db", change=change)))
    assert "on mine.csv (10 questions on 5 images)" in said
