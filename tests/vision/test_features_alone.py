"""PDC in the paper's own form: tokens alone perceive, maps alone calibrate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.vision.acquisition_stand_in import CLASSES
from tests.vision.conftest import corrupted, projected, scan, small_llava, small_processor
from vision.bank.model_half import ModelHalf
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.pdc import Calibrator

OTHERS = [scan(number) for number in range(700, 708)]


@pytest.fixture(scope="module")
def half(encoder: VisionEncoder) -> ModelHalf:
    references = [scan(number) for number in range(52)]
    return build_model_half(encoder, references, None, classes=CLASSES, fewest=52)


def test_a_clean_image_takes_one_pass_and_keeps_its_features(
    encoder: VisionEncoder, half: ModelHalf, count_forwards: Callable[[], int]
) -> None:
    plain = encoder.encode_batch(OTHERS)
    begun = count_forwards()
    found = Calibrator(encoder, half, stages=["features"], alpha=1e-4).calibrate_batch(OTHERS)
    assert count_forwards() - begun == 1
    assert not any(one.report.applied for one in found)
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(projected(one.features), projected(other))
    assert "no noise detected" in found[0].report.reason


def test_features_of_noisy_images_come_nearer_to_the_clean_ones(
    encoder: VisionEncoder, half: ModelHalf, count_forwards: Callable[[], int]
) -> None:
    noisy = [corrupted(image, "low_contrast", 5) for image in OTHERS]
    begun = count_forwards()
    found = Calibrator(encoder, half, stages=["features"], alpha=0.05).calibrate_batch(noisy)
    assert count_forwards() - begun == 2
    assert all(one.report.applied for one in found)
    clean, plain = encoder.encode_batch(OTHERS), encoder.encode_batch(noisy)
    nearer = [
        (projected(one.features) - projected(wanted)).norm()
        < (projected(before) - projected(wanted)).norm()
        for one, before, wanted in zip(found, plain, clean, strict=True)
    ]
    assert np.mean(nearer) > 0.8
    assert "features calibrated at embed" in found[0].report.reason


def test_without_calibration_noise_is_only_reported(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    noisy = corrupted(OTHERS[0], "low_contrast", 5)
    found = Calibrator(encoder, half, stages=["features"], alpha=0.05)(noisy, calibrate=False)
    assert found.perception is not None
    assert found.perception.kind == "low_contrast"
    assert "correction was not requested" in found.report.reason


def test_the_half_of_another_model_is_refused(half: ModelHalf) -> None:
    other = VisionEncoder(small_llava(seed=1), small_processor())
    with pytest.raises(BankRefused, match="another model"):
        Calibrator(other, half, stages=["features"])
