"""Rounds of perceiving and restoring: mixtures, budgets, and stages switched off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.vision.conftest import corrupted, projected, scan
from vision.bank.prototype_bank import PrototypeBank
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.perceive.image_statistics import compute_statistics
from vision.reading.medical_image import MedicalImage

HELD_OUT = range(500, 512)


def mixed(number: int) -> MedicalImage:
    return corrupted(corrupted(scan(number), "low_contrast", 3), "gaussian", 5)


def distance(encoder: VisionEncoder, shown: torch.Tensor, number: int) -> float:
    return float((shown - projected(encoder.encode(scan(number)))).norm())


def test_two_noises_at_once_come_nearer_to_clean(
    encoder: VisionEncoder, bank: PrototypeBank
) -> None:
    calibrator = Calibrator(encoder, bank)
    left, taken = [], []
    for number in HELD_OUT:
        noisy = mixed(number)
        taken.append(distance(encoder, projected(encoder.encode(noisy)), number))
        left.append(distance(encoder, projected(calibrator(noisy).features), number))
    assert np.mean(left) < 0.8 * np.mean(taken)


def test_the_report_names_what_was_corrected_in_each_round(
    encoder: VisionEncoder, bank: PrototypeBank
) -> None:
    reports = [Calibrator(encoder, bank)(mixed(number)).report for number in HELD_OUT]
    corrected = [report for report in reports if report.rounds]
    assert corrected
    for report in corrected:
        assert report.taps[0] == "pixels"
        assert all(one.split()[0] in {*bank.kinds, "unknown"} for one in report.rounds)
        assert "picture corrected for" in report.reason


def test_the_budget_ends_the_rounds(encoder: VisionEncoder, bank: PrototypeBank) -> None:
    for number in HELD_OUT:
        report = Calibrator(encoder, bank, max_rounds=1)(mixed(number)).report
        assert len(report.rounds) <= 1


@pytest.mark.parametrize("stage", ["pixels", "features"])
def test_either_stage_can_be_measured_alone(
    encoder: VisionEncoder, bank: PrototypeBank, stage: str
) -> None:
    other = {"pixels": "features", "features": "pixels"}[stage]
    alone = Calibrator(encoder, bank, **{other: False})
    reports = [alone(corrupted(scan(number), "low_contrast", 5)).report for number in HELD_OUT]
    touched = [report for report in reports if report.applied]
    assert all(("pixels" in report.taps) == (stage == "pixels") for report in touched)


def test_a_round_takes_no_whole_pass(
    encoder: VisionEncoder, bank: PrototypeBank, count_forwards: Callable[[], int]
) -> None:
    Calibrator(encoder, bank)(mixed(500))
    assert count_forwards() == 1


def test_the_features_bear_the_name_of_the_image_that_came_in(
    encoder: VisionEncoder, bank: PrototypeBank
) -> None:
    noisy = corrupted(scan(500), "low_contrast", 5)
    result = Calibrator(encoder, bank)(noisy)
    assert result.features.name == noisy.sha256
    assert result.features.size == (noisy.height, noisy.width)


def test_without_features_at_the_tap_statistics_are_of_pixels_alone(
    encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "visit", lambda inputs, visitor, *, last_tap: None)
    statistics = compute_statistics(encoder, [scan(1), scan(2)], side=64, tap="embed")
    assert statistics.tokens is None
    assert set(statistics.by_source) == {"pixels"}
