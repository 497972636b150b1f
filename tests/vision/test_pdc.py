"""PDC: noise is detected and corrected, clean images stay unchanged, in one encoder pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.vision.conftest import KINDS, corrupted, projected, scan
from vision.build.prototypes import PrototypeBank
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.pdc import Calibrator
from vision.report import CalibrationReport, NoisePerception

HELD_OUT = range(500, 520)


@pytest.fixture(scope="module")
def calibrator(encoder: VisionEncoder, bank: PrototypeBank) -> Calibrator:
    return Calibrator(encoder, bank)


def test_clean_images_are_not_touched_bit_for_bit(
    calibrator: Calibrator, encoder: VisionEncoder
) -> None:
    touched = 0
    for number in HELD_OUT:
        result = calibrator(scan(number))
        assert result.perception is not None
        if result.perception.clean_p_value <= calibrator.alpha:
            touched += 1
            continue
        assert torch.equal(projected(result.features), projected(encoder.encode(scan(number))))
        assert (result.perception.kind, result.perception.severity) == ("clean", 0)
        assert "no noise detected" in result.report.reason
    assert touched <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_named(calibrator: Calibrator, kind: str) -> None:
    perceptions = [calibrator.perceive(corrupted(scan(number), kind, 5)) for number in HELD_OUT]
    assert np.mean([one.kind == kind for one in perceptions]) >= 0.9
    assert all(sum(one.posterior.values()) == pytest.approx(1.0) for one in perceptions)
    assert set(perceptions[0].witnesses) == {"encoder", "pixels"}
    assert np.mean([one.severity for one in perceptions]) >= 4.0


@pytest.mark.parametrize("kind", KINDS)
def test_features_come_nearer_to_clean(
    calibrator: Calibrator, encoder: VisionEncoder, kind: str
) -> None:
    before, after = [], []
    for number in HELD_OUT:
        noisy = corrupted(scan(number), kind, 5)
        clean = projected(encoder.encode(scan(number)))
        before.append(float((projected(encoder.encode(noisy)) - clean).norm()))
        after.append(float((projected(calibrator(noisy).features) - clean).norm()))
    assert np.mean(after) < 0.9 * np.mean(before)


def test_one_pass_per_image(calibrator: Calibrator, count_forwards: Callable[[], int]) -> None:
    calibrator(scan(1))
    calibrator(corrupted(scan(1), "gaussian", 5))
    assert count_forwards() == 2


def test_a_batch_agrees_with_single_images(
    calibrator: Calibrator, count_forwards: Callable[[], int]
) -> None:
    images = [
        scan(1),
        corrupted(scan(2), "gaussian", 5),
        scan(3),
        corrupted(scan(4), "low_contrast", 5),
    ]
    batch = calibrator.calibrate_batch(images)
    assert count_forwards() == 1
    for image, together in zip(images, batch, strict=True):
        alone = calibrator(image)
        assert together.report.applied == alone.report.applied
        assert torch.allclose(
            projected(together.features), projected(alone.features), atol=1e-3, rtol=1e-3
        )


def test_the_report_says_what_was_done(calibrator: Calibrator) -> None:
    report = calibrator(corrupted(scan(2), "gaussian", 5)).report
    assert report.applied
    assert report.taps
    # the share of the features that calibration changed: restoring the picture changes none
    assert (0.0 < report.strength <= 1.0) == (report.taps != ["pixels"])
    assert report.distance_before is not None
    assert report.distance_after is not None
    assert report.distance_after < report.distance_before


def test_perceiving_alone_changes_nothing(calibrator: Calibrator, encoder: VisionEncoder) -> None:
    noisy = corrupted(scan(2), "gaussian", 5)
    result = calibrator(noisy, calibrate=False)
    assert not result.report.applied
    assert result.perception is not None
    assert result.perception.kind == "gaussian"
    assert torch.equal(projected(result.features), projected(encoder.encode(noisy)))
    assert result.perception == calibrator.perceive(noisy)


def test_images_may_be_encoded_without_noise_detection(
    calibrator: Calibrator, encoder: VisionEncoder
) -> None:
    noisy = corrupted(scan(2), "gaussian", 5)
    result = calibrator.calibrate_batch([noisy], perceive=False)[0]
    assert result.perception is None
    assert "switched off" in result.report.reason
    assert torch.equal(projected(result.features), projected(encoder.encode(noisy)))


def test_a_batch_is_perceived_as_its_images_are(calibrator: Calibrator) -> None:
    images = [scan(1), corrupted(scan(2), "gaussian", 5), corrupted(scan(4), "low_contrast", 5)]
    together = calibrator.perceive_batch(images)
    assert [one.kind for one in together] == [calibrator.perceive(i).kind for i in images]


def test_without_a_bank_the_features_are_plain(encoder: VisionEncoder) -> None:
    calibrator = Calibrator(encoder, None)
    result = calibrator(scan(1))
    assert result.perception is None
    assert "no prototype bank" in result.report.reason
    assert torch.equal(projected(result.features), projected(encoder.encode(scan(1))))
    with pytest.raises(BankRefused, match="needs a prototype bank"):
        calibrator.perceive(scan(1))


def test_features_that_are_not_finite_stay_and_the_report_says_so(
    encoder: VisionEncoder, bank: PrototypeBank
) -> None:
    embedding = encoder.model.model.vision_tower.embeddings.patch_embedding
    handle = embedding.register_forward_hook(lambda module, args, output: output * float("nan"))
    try:
        result = Calibrator(encoder, bank)(scan(1))
    finally:
        handle.remove()
    assert not result.report.applied
    assert "not finite" in result.report.reason
    assert result.perception is None


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_alpha_is_a_probability(encoder: VisionEncoder, bank: PrototypeBank, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        Calibrator(encoder, bank, alpha=alpha)


def test_reports_survive_json(calibrator: Calibrator) -> None:
    result = calibrator(corrupted(scan(2), "low_contrast", 5))
    assert result.perception is not None
    again = NoisePerception.model_validate_json(result.perception.model_dump_json())
    assert again == result.perception
    report = CalibrationReport.model_validate_json(result.report.model_dump_json())
    assert report == result.report
