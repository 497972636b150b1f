"""PDC in families with tiles, windows and pixel shuffle: noisy pictures alone are changed."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_models import build_tiny
from tests.vision.acquisition_stand_in import CLASSES, SmoothingAcquisition
from tests.vision.conftest import corrupted, projected, scan
from vision.bank.model_half import UNRESTORED
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator

FAMILIES = ["llava_next", "qwen2_5_vl", "gemma3", "internvl", "idefics3", "paligemma"]


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest) -> VisionEncoder:
    tiny = build_tiny(request.param)
    return VisionEncoder(tiny.model.eval(), tiny.processor)


def test_pictures_are_restored_without_building_anything(encoder: VisionEncoder) -> None:
    calibrator = Calibrator(encoder, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]
    noisy, clean = corrupted(scan(700, side=70), "gaussian", 5), scan(700, side=70)
    begun = encoder.forwards

    opened, closed = calibrator(noisy), calibrator(clean)

    assert encoder.forwards - begun == 2
    assert opened.restored is not None, opened.report.reason
    fixed = encoder.fixed_size(70, 70)
    assert (opened.restored.height, opened.restored.width) == (fixed or (70, 70))
    restored = encoder.encode(opened.restored)
    assert torch.equal(projected(opened.features), projected(restored))
    assert not closed.report.applied, closed.report.reason
    assert torch.equal(projected(closed.features), projected(encoder.encode(clean)))


@pytest.mark.slow
def test_a_model_half_calibrates_features_of_noisy_pictures_alone(encoder: VisionEncoder) -> None:
    references = [scan(number, side=60 + number % 3 * 14) for number in range(24)]
    classes = (CLASSES[0], CLASSES[4])
    half = build_model_half(encoder, references, None, classes=classes, fewest=24)
    assert half.maps_for(UNRESTORED)
    calibrator = Calibrator(encoder, half, stages=["features"], alpha=0.05)
    noisy, clean = corrupted(scan(700, side=70), "low_contrast", 5), scan(700, side=70)

    opened, closed = calibrator(noisy), calibrator(clean)

    assert opened.report.applied, opened.report.reason
    assert not torch.equal(projected(opened.features), projected(encoder.encode(noisy)))
    assert torch.equal(projected(closed.features), projected(encoder.encode(clean)))
