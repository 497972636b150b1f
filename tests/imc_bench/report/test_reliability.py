"""Whether confidences and p-values are calibrated, worked out on paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imc_bench.errors import StatisticRefused
from imc_bench.report.document import to_document
from imc_bench.report.reliability import LEVELS, gate, reliability
from imc_bench.report.reliability_plots import reliability_plot
from imc_bench.report.reliability_tables import bin_table, gate_table
from imc_bench.report.report import make_report
from imc_bench.report.results import CLEAN
from imc_bench.report.tables import make_tables
from tests.imc_bench.worked_run import ITEMS, LOW_DOSE, WORKED, make_store


def test_a_bin_holds_its_mean_confidence_and_the_share_that_is_right() -> None:
    found = reliability([0.82, 0.88, 0.9, 0.31], [1, 0, 1, 0])
    low, high = found.bins
    assert (low.low, low.high, low.right.value) == (0.3, 0.4, 0.0)
    assert high.confidence == pytest.approx((0.82 + 0.88 + 0.9) / 3)
    assert (high.right.value, high.right.items) == (pytest.approx(2 / 3), 3)
    assert found.cases == 4
    # each bin's gap, weighted by its cases
    assert found.error == pytest.approx((0.31 + abs(2 - 2.6)) / 4)


def test_an_edge_belongs_to_the_bin_below_and_0_to_the_first() -> None:
    found = reliability([0.0, 0.1, 0.5, 1.0], [0, 0, 1, 1])
    assert [(one.low, one.right.items) for one in found.bins] == [(0.0, 2), (0.4, 1), (0.9, 1)]


def test_confidences_that_equal_the_share_right_have_no_error() -> None:
    assert reliability([0.75] * 4, [1, 1, 1, 0]).error == 0.0


def test_a_gate_calls_noisy_what_has_a_p_value_no_higher_than_its_level() -> None:
    found = gate([0.01, 0.2, 0.6, 1.0], [0.001, 0.01])
    at = dict(zip(found.levels, zip(found.clean, found.noisy, strict=True), strict=True))
    assert [one.value for one in at[0.005]] == [0.0, 0.5]
    assert [one.value for one in at[0.01]] == [0.25, 1.0]
    assert [one.value for one in at[0.6]] == [0.75, 1.0]


def test_a_gate_needs_clean_images_and_true_p_values() -> None:
    with pytest.raises(StatisticRefused, match="clean images"):
        gate([], [0.5])
    with pytest.raises(StatisticRefused, match="outside 0 to 1"):
        gate([0.5], [1.5])


def test_a_report_counts_each_image_of_a_gate_once(tmp_path: Path) -> None:
    # items 0 and 1 are two questions about one image
    alarm = {(CLEAN, "none", n): {"clean_p_value": 0.004} for n in (0, 1)}
    found = {(LOW_DOSE, "none", n): {"clean_p_value": 0.004} for n in range(ITEMS)}
    report = make_report(make_store(tmp_path / "run.db", change={**alarm, **found}))
    assert report.perception is not None and report.perception.gate is not None
    clean, noisy = report.perception.gate.clean[0], report.perception.gate.noisy[0]
    assert (clean.value, clean.items) == (0.2, 5)
    assert (noisy.value, noisy.items) == (1.0, 5)
    found = json.loads(json.dumps(to_document(report), allow_nan=False))["perception"]["gate"]
    assert found["level"] == list(LEVELS) and found["clean"][0] == 0.2
    assert "gate" in [table.name for table in make_tables(report)]


def test_without_p_values_a_report_shows_no_gate(tmp_path: Path) -> None:
    none = {
        (condition, method, n): {"clean_p_value": None}
        for condition, method in WORKED
        for n in range(ITEMS)
    }
    report = make_report(make_store(tmp_path / "run.db", change=none))
    assert report.perception is not None and report.perception.gate is None
    assert "gate" not in [table.name for table in make_tables(report)]


def test_tables_show_shares_with_intervals_and_the_error() -> None:
    by_witness = {"fused": reliability([0.75] * 4, [1, 1, 1, 0])}
    table = bin_table("bins", "Bins", by_witness)
    assert table.rows[0][:4] == ("fused", "70-80", "4", "75.0")
    assert table.rows[0][4].startswith("75.0 [")
    assert "expected calibration error 0.0 %" in table.note
    assert gate_table(gate([0.5], [])).rows[0][2] == "-"


def test_diagrams_are_pictures() -> None:
    pytest.importorskip("matplotlib")
    found = reliability([0.2, 0.75, 0.8], [0, 1, 1])
    picture = reliability_plot({"fused": found}, "Reliability", "3 cases")
    assert picture.png.startswith(b"\x89PNG") and picture.panels.startswith(b"\x89PNG")
    # confidences 0.2, 0.75 and 0.8; 2 of 3 right
    assert picture.caption.verdict == (
        "fused: mean confidence 58.3 %, 66.7 % right (8 points underconfident)."
    )
