"""A picture is restored at the size at which the model sees it, in every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.conftest import corrupted
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb
from vision.restore.restorer import WorkingImage


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> VisionEncoder:
    tiny = build_tiny(request.param)
    return VisionEncoder(tiny.model, tiny.processor)


def picture(height: int, width: int) -> MedicalImage:
    """Coarse random texture, smoothly enlarged."""
    coarse = np.random.default_rng(0).integers(0, 230, (9, 12), dtype=np.uint8)
    return MedicalImage.from_rgb(resize_rgb(np.stack([coarse] * 3, axis=-1), (height, width)))


def pixels(encoder: VisionEncoder, image: MedicalImage) -> torch.Tensor:
    return encoder.prepare(image).tensors["pixel_values"]


def test_a_change_computed_at_the_working_size_reaches_the_model(family: VisionEncoder) -> None:
    """The difference to the clean picture, at that size, takes most of the grain that is seen."""
    clean = picture(300, 400)
    noisy = corrupted(clean, "gaussian", 5)
    working = WorkingImage.of(noisy, family)
    change = WorkingImage.of(clean, family).grey - working.grey
    wanted = pixels(family, clean)
    left = (pixels(family, working.restored(change)) - wanted).square().sum()
    before = (pixels(family, noisy) - wanted).square().sum()
    assert float(left) < 0.3 * float(before)


@pytest.mark.parametrize("own", [(600, 800), (340, 1000), (90, 120)])
def test_a_restored_picture_is_cut_into_the_same_tiles(
    family: VisionEncoder, own: tuple[int, int]
) -> None:
    noisy = picture(*own)
    working = WorkingImage.of(noisy, family)
    restored = working.restored(torch.zeros(working.size))
    assert pixels(family, restored).shape == pixels(family, noisy).shape
    if family.fixed_size(*own) is None:
        assert np.array_equal(restored.rgb, noisy.rgb)


def test_large_pictures_are_restored_at_a_bounded_size() -> None:
    import transformers as hf

    tiny = build_tiny("internvl")
    encoder = VisionEncoder(tiny.model, hf.GotOcr2ImageProcessorPil(crop_to_patches=True))
    working = WorkingImage.of(picture(1400, 2100), encoder)
    assert working.size == (672, 1008)
    assert (working.image.height, working.image.width) == (1400, 2100)
