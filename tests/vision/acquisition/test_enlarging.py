"""A picture is restored at the size at which the model sees it, in every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.conftest import corrupted, scan
from vision.acquisition.half import with_change
from vision.acquisition.scales import planes_of
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import at_size, resize_rgb


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


def seen(encoder: VisionEncoder, image: MedicalImage) -> MedicalImage:
    """The picture as the acquisition half gets it: at the input size where there is one."""
    size = encoder.fixed_size(image.height, image.width)
    return image if size is None else at_size(image, size)


def test_a_change_computed_at_the_working_size_reaches_the_model(family: VisionEncoder) -> None:
    """The difference to the clean picture, at that size, takes most of the grain that is seen."""
    clean = picture(300, 400)
    noisy = corrupted(clean, "gaussian", 5)
    size = family.working_size(300, 400)
    before, after = (planes_of(seen(family, one), size) for one in (noisy, clean))
    restored = with_change(seen(family, noisy), before, after)
    wanted = pixels(family, clean)
    left = (pixels(family, restored) - wanted).square().sum()
    taken = (pixels(family, noisy) - wanted).square().sum()
    assert float(left) < 0.3 * float(taken)


@pytest.mark.parametrize("own", [(600, 800), (340, 1000), (90, 120)])
def test_a_restored_picture_is_cut_into_the_same_tiles(
    family: VisionEncoder, own: tuple[int, int]
) -> None:
    noisy = picture(*own)
    before = planes_of(seen(family, noisy), family.working_size(*own))
    restored = with_change(seen(family, noisy), before, before)
    assert pixels(family, restored).shape == pixels(family, noisy).shape
    assert np.array_equal(restored.rgb, seen(family, noisy).rgb)


def test_a_small_change_is_enlarged_for_a_large_picture() -> None:
    large = scan(1, 80)
    before = planes_of(large, (40, 40))
    restored = with_change(large, before, before + 0.1)
    assert (restored.height, restored.width) == (80, 80)
    added = restored.rgb.astype(int) - large.rgb
    assert 24 <= int(np.median(added)) <= 27


def test_large_pictures_are_restored_at_a_bounded_size() -> None:
    import transformers as hf

    tiny = build_tiny("internvl")
    encoder = VisionEncoder(tiny.model, hf.GotOcr2ImageProcessorPil(crop_to_patches=True))
    assert encoder.working_size(1400, 2100) == (672, 1008)
    assert encoder.fixed_size(1400, 2100) is None
