"""The figures of a report, worked out on paper from a small store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imc_bench.metrics.scoring import Rule
from imc_bench.report.cells import make_cell, summarise_side
from imc_bench.report.document import to_document
from imc_bench.report.report import make_report
from imc_bench.report.results import CLEAN, ReportRefused, read_results
from imc_bench.report.tables import make_tables
from tests.imc_bench.worked_run import (
    ITEMS,
    OCR,
    TYPO,
    WORKED,
    Right,
    make_store,
)


def test_recovered_is_the_restored_share_of_the_drop(worked: Path) -> None:
    cell = make_cell(read_results(worked), TYPO, "sms")
    assert cell is not None and cell.recovered is not None
    assert cell.accuracy.value == pytest.approx(0.6)
    assert cell.drop.value == pytest.approx(0.2)
    assert cell.gain.value == pytest.approx(0.2)
    assert cell.recovered.value == pytest.approx(0.5)  # (6 - 4) / (8 - 4)
    assert (cell.accuracy.items, cell.accuracy.clusters) == (10, 5)


def test_recovered_is_suppressed_where_noise_costs_nothing(worked: Path) -> None:
    results = read_results(worked)
    for method in ("pdc", "sms"):
        cell = make_cell(results, OCR, method)
        assert cell is not None and cell.recovered is None
    none = make_cell(results, TYPO, "none")
    assert none is not None and none.recovered is None


def test_destroyed_and_corrected_are_against_the_same_noisy_items(worked: Path) -> None:
    cell = make_cell(read_results(worked), TYPO, "sms")
    assert cell is not None
    assert cell.destructive == pytest.approx(0.1)  # item 0
    assert cell.corrective == pytest.approx(0.3)  # items 4, 5, 6


def test_flips_are_against_the_own_clean_answer(worked: Path) -> None:
    results = read_results(worked)
    noisy, repaired = make_cell(results, TYPO, "none"), make_cell(results, TYPO, "sms")
    assert noisy is not None and repaired is not None
    assert noisy.flips == pytest.approx(0.4)  # items 4 to 7
    assert repaired.flips == pytest.approx(0.2)  # items 0 and 7
    assert repaired.flips_removed == pytest.approx(0.5)


def test_the_calibration_error_is_confidence_less_accuracy(worked: Path) -> None:
    cell = make_cell(read_results(worked), TYPO, "none")
    assert cell is not None and cell.calibration_error == pytest.approx(0.75 - 0.4)


def test_a_summary_is_the_mean_over_kinds(worked: Path) -> None:
    results = read_results(worked)
    summary = summarise_side(results, "text", "sms")
    assert summary is not None and summary.recovered is not None
    assert summary.accuracy.value == pytest.approx((0.6 + 0.8) / 2)
    assert summary.recovered.value == pytest.approx(0.5)  # 0.1 of the 0.2 lost over both kinds
    assert summary.flips_removed == pytest.approx(0.5)
    assert (summary.worst_noise, summary.worst_accuracy) == ("typo", pytest.approx(0.6))
    # errors 0.4 of 0.6 under typo, 0.2 of 0.2 under ocr
    assert summary.corruption_error == pytest.approx((0.4 / 0.6 + 1) / 2)


def test_a_corruption_error_is_relative_to_the_named_baseline(worked: Path, tmp_path: Path) -> None:
    def errors(baseline: str | None, method: str) -> tuple[float, float]:
        (one,) = (
            one
            for one in make_report(worked, baseline=baseline).sides["text"]
            if one.method == method
        )
        return one.corruption_error, one.relative_corruption_error

    # errors of sms 0.4 and 0.2, of none 0.6 and 0.2, both 0.2 when clean
    assert errors(None, "none") == (1.0, 1.0)
    assert errors("sms", "sms")[0] == 1.0
    assert errors("sms", "none")[0] == pytest.approx((0.6 / 0.4 + 1) / 2)
    # what noise adds: 0.4 of 0.2 under typo; under ocr nothing to either, which counts as 1
    assert errors("sms", "none")[1] == pytest.approx((0.4 / 0.2 + 1) / 2)

    perfect = {cell: range(ITEMS) for cell in WORKED}
    other = make_store(tmp_path / "other.db", perfect, model="other")
    # a baseline that never errs counts as 1 %: 0.4 / 0.01 and 0.2 / 0.01
    assert errors(str(other), "sms")[0] == pytest.approx((40 + 20) / 2)
    note = make_tables(make_report(worked, baseline=str(other)))[0].note
    assert "baseline of BE and rBE is method none of other (other.db)" in note


def test_a_baseline_that_is_none_is_refused_by_name(worked: Path) -> None:
    with pytest.raises(ReportRefused, match="'best'.*none, pdc, sms"):
        make_report(worked, baseline="best")


def test_a_baseline_that_lacks_the_conditions_gives_no_figure(worked: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other.db", {(CLEAN, "none"): range(8)})
    report = make_report(worked, baseline=str(other))
    assert to_document(report)["summary"]["sms"]["text"]["corruption_error"] is None
    main = make_tables(report)[0]
    row = dict(zip(main.columns, main.rows[0], strict=True))
    assert (row["BE"], row["rBE"]) == ("-", "-")


def test_the_document_holds_what_the_design_promises(worked: Path) -> None:
    document = json.loads(json.dumps(to_document(make_report(worked)), allow_nan=False))
    for method in ("none", "pdc", "sms"):
        for side in ("image", "text"):
            assert {"recovered", "flips", "flips_removed"} <= document["summary"][method][
                side
            ].keys()
        assert {"accuracy_change", "flips", "touched"} <= document["summary"][method][
            "clean"
        ].keys()
    assert document["verdict"]["headline"].startswith("tiny <model> on phantom test")
    assert document["summary"]["pdc"]["image"]["recovered"] == pytest.approx(0.5)  # 1 of 2
    assert document["summary"]["none"]["image"]["recovered"] is None
    assert len(document["cells"]) == len(WORKED)


def test_clean_harm_counts_what_was_destroyed_and_what_was_touched(tmp_path: Path) -> None:
    edits = {(CLEAN, "sms", n): {"question_edited": 1, "protected_violations": 2} for n in (0, 8)}
    touched = {(CLEAN, "pdc", n): {"touched": 1} for n in (2, 3)}  # both ask about one image
    store = make_store(tmp_path / "run.db", change={**edits, **touched})
    clean = to_document(make_report(store))["summary"]
    sms = clean["sms"]["clean"]
    assert sms["accuracy_change"] == 0.0
    assert (sms["destructive"], sms["corrective"]) == (0.1, 0.1)
    assert sms["flips"] == pytest.approx(0.2)
    assert sms["false_edits"] == pytest.approx(0.2)
    assert sms["violations"] == 4
    assert clean["pdc"]["clean"]["touched"] == pytest.approx(0.2)


def test_controls_are_no_part_of_a_summary(worked: Path) -> None:
    report = make_report(worked)
    (image,) = (one for one in report.sides["image"] if one.method == "none")
    assert image.accuracy.value == pytest.approx(0.6)
    (controls,) = (table for table in make_tables(report) if table.name == "controls")
    assert ("blank", "none") in {row[:2] for row in controls.rows}


def test_a_report_by_another_rule_scores_the_stored_answers_anew(tmp_path: Path) -> None:
    said = {(TYPO, "sms", 0): {"prediction": "Yeah!"}, (TYPO, "sms", 7): {"prediction": "no"}}
    store = make_store(tmp_path / "run.db", change=said)

    def accuracy(rule: Rule) -> float:
        cell = make_cell(read_results(store, rule), TYPO, "sms")
        assert cell is not None
        return cell.accuracy.value

    assert accuracy("strict") == pytest.approx(0.6)  # as stored
    assert accuracy("lmms_eval") == pytest.approx(0.7)  # "yeah" is a yes to it
    assert accuracy("llavamed_compat") == pytest.approx(6 / 9)  # a wrong "no" is not counted
    assert "lmms-eval" in make_tables(make_report(store, rule="lmms_eval"))[0].note


def test_the_other_rules_score_the_same_answers(tmp_path: Path) -> None:
    said = {(CLEAN, "none", 8): {"prediction": "no"}, (CLEAN, "none", 9): {"prediction": "Yeah!"}}
    report = make_report(make_store(tmp_path / "run.db", change=said))
    (clean,) = (one for one in report.scores if (one.on, one.method) == ("clean", "none"))
    assert clean.strict_closed == pytest.approx(0.8)
    assert clean.lmms_eval == pytest.approx(0.9)  # "yeah" is a yes to it
    assert clean.llavamed_closed == pytest.approx(8 / 9)  # "no" is not counted, "yeah" is wrong
    assert clean.strict_open != clean.strict_open  # NaN: the set has no open questions


def test_an_unfinished_run_is_compared_over_what_both_sides_hold(tmp_path: Path) -> None:
    results = read_results(make_store(tmp_path / "run.db", rows_of=range(6)))
    cell = make_cell(results, TYPO, "sms")
    assert cell is not None
    assert cell.accuracy.items == 6
    assert cell.accuracy.value == pytest.approx(5 / 6)


@pytest.mark.parametrize("right", [{}, {(CLEAN, "pdc"): range(8)}])
def test_a_store_without_clean_answers_is_refused(tmp_path: Path, right: Right) -> None:
    with pytest.raises(ReportRefused) as refused:
        read_results(make_store(tmp_path / "run.db", right))
    assert "\n" not in str(refused.value)
