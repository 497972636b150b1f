"""Where a tower cannot be tapped, noise is still perceived, and the report says what is off."""

from __future__ import annotations

import pytest
import torch

from tests.vision.conftest import corrupted, projected, scan, small_llava, small_processor
from vision.build.prototypes import PrototypeBank, build_bank
from vision.build.sample_cache import DrawCache
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage


def small_bank(encoder: VisionEncoder) -> PrototypeBank:
    return build_bank(
        encoder,
        [scan(number) for number in range(36)],
        kinds=("low_contrast",),
        severities=(5,),
        more_kinds=(),
        fewest=32,
    )


@pytest.mark.slow
def test_at_the_projector_alone() -> None:
    encoder = VisionEncoder(small_llava(), small_processor())
    encoder.taps = ("projector",)
    bank = small_bank(encoder)
    assert (bank.perception_tap, set(bank.maps)) == ("projector", {"projector"})
    result = Calibrator(encoder, bank)(corrupted(scan(900), "low_contrast", 5))
    assert result.perception is not None
    assert result.perception.kind == "low_contrast"
    assert "blocks cannot be read" in result.report.reason


@pytest.mark.slow
def test_from_pixels_alone() -> None:
    encoder = VisionEncoder(small_llava(), small_processor())
    encoder.taps = ()
    bank = small_bank(encoder)
    assert (bank.perception_tap, bank.maps) == ("", {})
    noisy = corrupted(scan(900), "low_contrast", 5)
    restored = Calibrator(encoder, bank)(noisy)
    assert restored.perception is not None
    assert set(restored.perception.witnesses) == {"pixels"}
    assert restored.report.taps == ["pixels"]
    assert "layers cannot be read" in restored.report.reason
    uncorrected = Calibrator(encoder, bank, pixels=False)(noisy)
    assert not uncorrected.report.applied
    assert "features not corrected" in uncorrected.report.reason
    assert torch.equal(projected(uncorrected.features), projected(encoder.encode(noisy)))


def test_a_draw_is_made_once_while_there_is_room() -> None:
    made: list[int] = []

    def draw(number: int) -> MedicalImage:
        made.append(number)
        return scan(number, side=40)

    draws = DrawCache(room=2 * 40 * 40)
    for _ in range(2):
        for number in range(3):
            again = draws.get(("gaussian", 3, 0, number), lambda number=number: draw(number))  # type: ignore[misc]
            assert again == scan(number, side=40)
    assert made == [0, 1, 2, 2]
