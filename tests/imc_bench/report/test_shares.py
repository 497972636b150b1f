"""A share of too few answers is shown as a word, so that it is not read as a figure."""

from __future__ import annotations

from pathlib import Path

from imc_bench.report.cells import Cell, make_cell
from imc_bench.report.report import Report, make_report
from imc_bench.report.results import CLEAN, read_results
from imc_bench.report.shares import is_number, shown_flips_removed, shown_recovered
from imc_bench.report.tables import make_tables
from tests.imc_bench.worked_run import LOW_DOSE, OCR, TYPO, WORKED, make_store


def cell_of(store: Path, *of: object) -> Cell:
    cell = make_cell(read_results(store), *of)  # type: ignore[arg-type]
    assert cell is not None
    return cell


def test_a_share_of_a_handful_of_answers_is_few_with_their_number(worked: Path) -> None:
    cell = cell_of(worked, TYPO, "sms")
    # noise costs 4 right answers of 10, and flips the same 4
    assert (cell.lost, cell.flipped) == (4, 4)
    assert shown_recovered(cell) == shown_flips_removed(cell) == "few (4)"


def test_noise_that_costs_nothing_leaves_no_loss_and_no_flips(worked: Path) -> None:
    cell = cell_of(worked, OCR, "pdc")
    assert (shown_recovered(cell), shown_flips_removed(cell)) == ("no loss", "no flips")


def test_none_and_clean_inputs_have_nothing_to_recover(worked: Path) -> None:
    for cell in (cell_of(worked, TYPO, "none"), cell_of(worked, CLEAN, "sms")):
        assert (shown_recovered(cell), shown_flips_removed(cell)) == ("-", "-")


def test_enough_answers_are_a_number(tmp_path: Path) -> None:
    right = {**WORKED, (CLEAN, "none"): range(20), (TYPO, "none"): range(4)}
    right |= {(TYPO, "sms"): range(12), (CLEAN, "sms"): range(20)}
    store = make_store(tmp_path / "run.db", right, items=20)
    cell = cell_of(store, TYPO, "sms")
    assert (cell.lost, cell.flipped) == (16, 16)
    assert shown_recovered(cell).startswith("50.0 [") and shown_flips_removed(cell) == "50.0"


def test_words_are_no_numbers() -> None:
    assert [is_number(shown) for shown in ("50.0", "-3.1", "0.0", "-", "few (3)", "no loss")] == (
        [True, True, True, False, False, False]
    )


def test_a_relative_error_under_0_is_none_added(tmp_path: Path) -> None:
    # with pdc more answers are right under noise than on clean inputs
    store = make_store(tmp_path / "run.db", {**WORKED, (LOW_DOSE, "pdc"): range(10)})
    report = make_report(store)
    (pdc,) = (one for one in report.sides["image"] if one.method == "pdc")
    assert pdc.relative_corruption_error < 0
    assert row_of(report, "image", "pdc")["rBE"] == "none added"
    assert row_of(report, "image", "none")["rBE"] == "1.000"


def row_of(report: Report, side: str, method: str) -> dict[str, str]:
    main = make_tables(report)[0]
    (row,) = (row for row in main.rows if row[:2] == (side, method))
    return dict(zip(main.columns, row, strict=True))


def test_the_main_table_counts_questions_and_conditions(worked: Path) -> None:
    report = make_report(worked)
    assert row_of(report, "question", "sms")["n"] == "10 x 2"
    assert row_of(report, "image", "none")["n"] == "10 x 1"
