"""The model half at work: one pass for a clean image, bit for bit the encoder's own; then maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.vision.acquisition_stand_in import CLASSES
from tests.vision.conftest import corrupted, projected, scan
from vision.bank.model_half import UNRESTORED, ModelHalf
from vision.build.model_half import build_model_half
from vision.calibrate.class_maps import calibration_weights
from vision.encoder.vision_encoder import VisionEncoder
from vision.feature_pass import calibrate_features, observe, stacked
from vision.reading.medical_image import MedicalImage

OTHERS = [scan(number) for number in range(700, 708)]


@pytest.fixture(scope="module")
def half(encoder: VisionEncoder) -> ModelHalf:
    """A model half with tokens as its only witness."""
    references = [scan(number) for number in range(40)]
    return build_model_half(encoder, references, None, classes=CLASSES, fewest=40)


def named(half: ModelHalf, noise: tuple[str, int], images: int) -> torch.Tensor:
    """Weights of maps where the noise is known."""
    posterior = torch.zeros(images, len(half.classes) + 1)
    posterior[:, half.classes.index(noise)] = 1.0
    return calibration_weights(posterior)


def error(
    encoder: VisionEncoder, of: list[torch.Tensor], clean: list[MedicalImage]
) -> list[float]:
    wanted = [projected(one) for one in encoder.encode_batch(clean)]
    return [float((a - b).norm() / b.norm()) for a, b in zip(of, wanted, strict=True)]


def test_observing_costs_one_pass_and_changes_nothing(
    encoder: VisionEncoder, half: ModelHalf, count_forwards: Callable[[], int]
) -> None:
    plain = encoder.encode_batch(OTHERS)
    begun = count_forwards()
    observed = observe(encoder, half, OTHERS)
    assert count_forwards() - begun == 1
    for one, other in zip(observed, plain, strict=True):
        assert torch.equal(projected(one.features), projected(other))
        assert one.features.name == other.name


def test_observed_statistics_separate_noisy_images_from_clean_ones(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    noisy = [corrupted(image, "gaussian", 5) for image in OTHERS]
    p_values = [
        [one.clean_p_value for one in half.witness.predict(stacked(observe(encoder, half, images)))]
        for images in (OTHERS, noisy)
    ]
    assert np.median(p_values[0]) > 0.1
    assert max(p_values[1]) < 0.05


def test_maps_bring_features_nearer_to_those_of_the_clean_image(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    noisy = [corrupted(image, "low_contrast", 5) for image in OTHERS]
    weights = named(half, ("low_contrast", 5), len(noisy))
    calibrated = calibrate_features(encoder, half, noisy, weights, stage=UNRESTORED, named=OTHERS)
    before = error(encoder, [projected(one) for one in encoder.encode_batch(noisy)], OTHERS)
    after = error(encoder, [projected(one.features) for one in calibrated], OTHERS)
    assert np.mean(np.array(after) < np.array(before)) > 0.8
    assert [one.features.name for one in calibrated] == [image.sha256 for image in OTHERS]
    assert all(
        new < old for one in calibrated for old, new in zip(one.before, one.after, strict=True)
    )


def test_a_stage_without_maps_changes_nothing(encoder: VisionEncoder, half: ModelHalf) -> None:
    weights = named(half, ("gaussian", 5), len(OTHERS))
    calibrated = calibrate_features(encoder, half, OTHERS, weights, stage="restored")
    plain = encoder.encode_batch(OTHERS)
    for one, other in zip(calibrated, plain, strict=True):
        assert torch.equal(projected(one.features), projected(other))
        assert not one.taps
