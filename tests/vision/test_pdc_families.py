"""The whole of PDC in families with tiles, windows and pixel shuffle: built, open, closed."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_models import build_tiny
from tests.vision.conftest import corrupted, projected, scan
from vision.build.prototypes import build_bank
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["llava_next", "qwen2_5_vl", "gemma3", "internvl", "idefics3", "paligemma"]
)
def test_noise_is_corrected_and_clean_stays_bit_for_bit(family: str) -> None:
    tiny = build_tiny(family)
    encoder = VisionEncoder(tiny.model.eval(), tiny.processor)
    references = [scan(number, side=60 + number % 3 * 14) for number in range(24)]
    few = {"kinds": ("low_contrast",), "severities": (5,), "more_kinds": (), "fewest": 24}
    bank = build_bank(encoder, references, **few)
    calibrator = Calibrator(encoder, bank)
    begun = encoder.forwards

    noisy = corrupted(scan(700, side=70), "low_contrast", 5)
    opened = calibrator(noisy)
    closed = calibrator(scan(700, side=70))

    assert encoder.forwards - begun == 2
    assert opened.report.applied, opened.report.reason
    assert not torch.equal(projected(opened.features), projected(encoder.encode(noisy)))
    assert not closed.report.applied, closed.report.reason
    plain = encoder.encode(scan(700, side=70))
    assert torch.equal(projected(closed.features), projected(plain))
