"""Two runs against each other, item by item."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc_bench.compare import (
    compare_runs,
    comparison_document,
    comparison_table,
    comparison_verdict,
)
from imc_bench.errors import StoreRefused
from imc_bench.report.report import make_report
from imc_bench.report.results import ReportRefused
from tests.imc_bench.worked_run import (
    ITEMS,
    TYPO,
    WORKED,
    make_store,
)


def test_two_runs_are_compared_item_by_item(tmp_path: Path) -> None:
    first = make_store(tmp_path / "a.db")
    better = {**WORKED, (TYPO, "sms"): [1, 2, 3, 4, 5, 6, 7, 8]}
    second = make_store(tmp_path / "b.db", better, seed=1, rows_of=range(1, ITEMS))
    document = comparison_document(compare_runs(first, second))
    (cell,) = (one for one in document["cells"] if (one["on"], one["method"]) == ("typo 3", "sms"))
    assert cell["items"] == 9  # item 0 has no row in the second
    assert cell["difference"] == pytest.approx(2 / 9)
    assert (cell["destructive"], cell["corrective"]) == (0.0, pytest.approx(2 / 9))
    (mean,) = (one for one in document["summary"] if (one["on"], one["method"]) == ("text", "sms"))
    assert mean["difference"] == pytest.approx(1 / 9)
    assert document["differ"] == {"seed": [0, 1]}


def test_a_run_does_not_differ_from_itself(worked: Path) -> None:
    made = compare_runs(worked, worked)
    assert made.differ == {}
    assert {row[4] for row in comparison_table(made, every=True).rows} == {"0.0 [0.0, 0.0]"}
    assert not any(one.difference.claimed for one in made.cells)


def test_the_verdict_names_differences_beyond_their_interval(worked: Path, tmp_path: Path) -> None:
    assert comparison_verdict(compare_runs(worked, worked)) == (
        "No difference between the two runs is beyond its 95 % interval."
    )
    perfect = make_store(tmp_path / "b.db", {cell: range(ITEMS) for cell in WORKED}, seed=1)
    said = comparison_verdict(compare_runs(worked, perfect))
    assert "sms on question +30.0 [" in said


def test_another_rule_scores_both_runs_anew(worked: Path, tmp_path: Path) -> None:
    better = {**WORKED, (TYPO, "sms"): range(8)}
    other = make_store(tmp_path / "other.db", better, seed=1)
    made = compare_runs(worked, other, rule="llavamed_compat")
    assert comparison_document(made)["rule"] == "llavamed_compat"
    assert "llavamed_compat" in comparison_table(made).note
    (here,) = (one for one in made.cells if (one.on, one.method) == ("typo 3", "sms"))
    for path, value in ((worked, here.first), (other, here.second)):
        cells = make_report(path, rule="llavamed_compat").cells
        (cell,) = (one for one in cells if (str(one.condition), one.method) == ("typo 3", "sms"))
        assert value == cell.accuracy


def test_runs_on_other_answers_are_not_compared(worked: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other.db", answer="liver")
    with pytest.raises(ReportRefused, match="another answer"):
        compare_runs(worked, other)
    with pytest.raises(StoreRefused):
        compare_runs(worked, tmp_path / "none.db")
