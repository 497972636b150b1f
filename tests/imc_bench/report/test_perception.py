"""What a report says of perceived noise, and of image and text states together."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc_bench.conditions import Condition
from imc_bench.report.report import make_report
from imc_bench.report.results import CLEAN
from tests.imc_bench.worked_run import (
    BOTH,
    ITEMS,
    LOW_DOSE,
    TYPO,
    WORKED,
    make_store,
)


def test_the_matrix_holds_the_nine_states(tmp_path: Path) -> None:
    counts = {"none": 2, "pdc": 3, "sms": 4, "imc": 5}
    both = {(BOTH, method): range(count) for method, count in counts.items()}
    imc = {(condition, "imc"): range(8) for condition in (CLEAN, TYPO, LOW_DOSE)}
    report = make_report(make_store(tmp_path / "run.db", {**WORKED, **imc, **both}))
    # ocr is not among the joined noises: its perfect score must not enter
    expected = [[0.8, 0.4, 0.6], [0.6, 0.2, 0.4], [0.7, 0.3, 0.5]]
    assert report.matrix.tolist() == [pytest.approx(row) for row in expected]


def test_an_image_counts_once_in_the_confusion(tmp_path: Path) -> None:
    mistaken = {(LOW_DOSE, "none", n): {"perceived_kind": "gaussian"} for n in (0, 1)}
    alarm = {(CLEAN, "none", n): {"perceived_kind": "unknown"} for n in (4, 5)}
    seen = make_report(make_store(tmp_path / "run.db", change={**mistaken, **alarm})).perception
    assert seen is not None
    assert seen.truth == ("clean", "low_dose")
    assert seen.predicted == ("clean", "low_dose", "gaussian", "unknown")
    assert seen.kinds.tolist() == [[4, 0, 0, 1], [0, 4, 1, 0]]
    assert seen.false_alarms.value == pytest.approx(0.2)
    assert seen.identified == pytest.approx(0.8)


def test_images_of_one_patient_count_apart_in_the_confusion(tmp_path: Path) -> None:
    one_patient = {
        (condition, "none", n): {"image_group": "patient"}
        for condition in (CLEAN, LOW_DOSE)
        for n in range(ITEMS)
    }
    seen = make_report(make_store(tmp_path / "run.db", change=one_patient)).perception
    assert seen is not None
    assert seen.kinds.tolist() == [[5, 0, 0], [0, 5, 0]]


def test_severity_is_confused_kind_by_kind(tmp_path: Path) -> None:
    said = {
        **{(LOW_DOSE, "none", n): {"perceived_severity": 2} for n in (0, 1)},
        **{(LOW_DOSE, "none", n): {"perceived_severity": 5} for n in (2, 3)},
        **{(LOW_DOSE, "none", n): {"perceived_kind": "gaussian"} for n in (4, 5)},
    }
    report = make_report(make_store(tmp_path / "run.db", change=said))
    assert report.perception is not None
    (one,) = report.perception.severities
    assert (one.kind, one.true, one.images) == ("low_dose", (3.0,), (5,))
    assert one.counts.tolist() == [[0, 1, 2, 0, 1]]  # four of the five were named
    assert one.exact is not None and one.within_one is not None
    assert (one.exact.value, one.within_one.value) == (0.5, 0.75)


def test_two_noises_at_once_are_a_side_and_a_row_of_their_own(tmp_path: Path) -> None:
    stacked = Condition("gaussian+low_contrast", 2.5)
    right = {**WORKED, (stacked, "none"): range(2), (stacked, "pdc"): range(5)}
    said = {
        (stacked, "none", n): {"perceived_kind": "gaussian", "perceived_severity": 3}
        for n in range(ITEMS)
    }
    report = make_report(make_store(tmp_path / "run.db", right, change=said))
    by_side = {side: [one.method for one in found] for side, found in report.sides.items()}
    assert by_side["stacked"] == ["none", "pdc"]
    assert report.sides["image"][0].accuracy.value == pytest.approx(0.6)  # low_dose alone
    assert report.perception is not None
    assert report.perception.truth == ("clean", "low_dose", "gaussian+low_contrast")
    assert report.perception.predicted == ("clean", "low_dose", "gaussian", "unknown")
    assert report.perception.kinds.tolist()[2] == [0, 0, 5, 0]
    assert report.perception.identified == 1.0


def test_a_kind_that_the_bank_does_not_hold_should_be_unknown(tmp_path: Path) -> None:
    fog = Condition("bias_field", 3)
    said = {(fog, "none", n): {"perceived_kind": "unknown"} for n in range(8)}
    store = make_store(
        tmp_path / "run.db", {**WORKED, (fog, "none"): range(5)}, change=said, kinds=["low_dose"]
    )
    seen = make_report(store).perception
    assert seen is not None and seen.absent_unknown is not None
    assert seen.absent == ("bias_field",)
    assert seen.absent_unknown.value == pytest.approx(0.8)
    assert seen.identified == 1.0  # low_dose alone
    assert [one.kind for one in seen.severities] == ["low_dose"]
