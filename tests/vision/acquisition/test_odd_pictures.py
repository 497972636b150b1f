"""Pictures unlike all that is known: declined or left as they are, never changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.vision.acquisition.odd_pictures import (
    ODD,
    Pixels,
    colour_doppler,
    lettered_slice,
    one_pixel,
    photograph,
    screenshot,
    slice_of_three_rows,
)
from vision.acquisition import AcquisitionHalf
from vision.reading.medical_image import MedicalImage


@pytest.mark.parametrize("draw", ODD, ids=lambda draw: draw.__name__)
def test_an_odd_picture_comes_back_bit_for_bit(draw: Callable[[], Pixels]) -> None:
    image = MedicalImage.from_rgb(draw())
    (found,) = AcquisitionHalf.shipped().restore_batch([image])
    assert found.image is image
    assert not found.restored
    assert found.predicted_share is None


@pytest.mark.parametrize("draw", [lettered_slice, colour_doppler, screenshot, photograph])
def test_an_odd_picture_in_a_small_window_comes_back_too(draw: Callable[[], Pixels]) -> None:
    whole = Image.fromarray(draw())
    small = whole.resize((round(whole.width * 112 / whole.height), 112), Image.Resampling.BICUBIC)
    image = MedicalImage.from_rgb(np.asarray(small))
    assert AcquisitionHalf.shipped().restore_batch([image])[0].image is image


@pytest.mark.parametrize("draw", [one_pixel, slice_of_three_rows])
def test_a_picture_too_small_to_be_examined_is_declined_with_the_reason(
    draw: Callable[[], Pixels],
) -> None:
    (found,) = AcquisitionHalf.shipped().restore_batch([MedicalImage.from_rgb(draw())])
    assert found.perception is None
    assert f"a side of {min(draw().shape[:2])} pixels" in found.declined


def test_one_grey_level_with_grain_is_no_picture_to_restore_by() -> None:
    """Grain alone: whatever is done, the grey level stays and no structure is made up."""
    grain = np.random.default_rng(0).normal(120.0, 12.0, size=(128, 128, 1))
    image = MedicalImage.from_rgb(np.repeat(grain.astype(np.uint8), 3, axis=2))
    (found,) = AcquisitionHalf.shipped().restore_batch([image])
    after = found.image.rgb.astype(float)
    assert abs(after.mean() - 119.5) < 3.0
    assert after.std() < 13.0
