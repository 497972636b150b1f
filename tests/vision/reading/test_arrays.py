"""Arrays of a notebook: grey, colour, floats in [0, 1], and what is ambiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.vision.reading.files import RAMP, refusal
from vision import ImageRefused, MedicalImage, read_image

UNIT = np.linspace(0, 1, 48).reshape(6, 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_between_zero_and_one(dtype: type) -> None:
    image = read_image(UNIT.astype(dtype))
    assert image.rgb.shape == (6, 8, 3)
    assert np.abs(image.rgb[:, :, 0] - UNIT * 255).max() <= 0.6


def test_floats_keep_their_range_where_they_do_not_fill_it() -> None:
    assert read_image(UNIT / 2).rgb.max() == 128


def test_float_colour_and_alpha() -> None:
    colour = np.dstack([UNIT, UNIT[::-1], 1 - UNIT])
    assert read_image(colour).rgb[0, 0].tolist() == [0, round(float(UNIT[-1, 0]) * 255), 255]
    assert read_image(np.dstack([colour, np.ones_like(UNIT)])) == read_image(colour)
    assert not read_image(np.dstack([colour, np.zeros_like(UNIT)])).rgb.any()


@pytest.mark.parametrize("array", [UNIT * 255, UNIT - 0.5, UNIT * np.nan, UNIT + np.inf])
def test_floats_of_another_range_are_ambiguous(array: np.ndarray) -> None:
    assert "[0, 1]" in refusal(array) or "finite" in refusal(array)


def test_grey_and_boolean_arrays() -> None:
    assert np.array_equal(read_image(RAMP > 2000).rgb[:, :, 0], (RAMP > 2000) * 255)
    assert read_image(RAMP[:, :, None]) == read_image(RAMP)


def test_an_image_that_was_read_is_returned_as_it_is() -> None:
    image = read_image(RAMP)
    assert read_image(image) is image
    assert "one frame" in refusal(image, frame=1)


def test_a_block_may_hold_an_array_or_an_image() -> None:
    image = read_image(RAMP)
    assert read_image({"type": "image", "image": RAMP}) == image
    assert read_image({"type": "image", "image": image}) is image


def test_an_image_of_a_grey_or_float_array() -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    image = MedicalImage.from_array(grey)
    assert (image.height, image.width, image.source_format) == (6, 8, "ARRAY")
    assert np.array_equal(image.rgb, np.repeat(grey[:, :, None], 3, axis=2))
    assert MedicalImage.from_array(grey / 255) == image == read_image(grey)
    grey[:] = 0
    assert image.rgb.any(), "the image must not change with the array"


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (UNIT * 2, r"floats must be finite and lie in \[0, 1\]"),
        (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\) is not an image"),
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (UNIT.astype(complex), "complex128"),
        ([[0, 255]], "list is no array"),
    ],
)
def test_another_array_is_refused_in_one_line(array: Any, why: str) -> None:
    with pytest.raises(ImageRefused, match=why) as refused:
        MedicalImage.from_array(array)
    assert "\n" not in str(refused.value)


def test_pixels_of_another_shape_name_the_way_in() -> None:
    with pytest.raises(ImageRefused, match="from_array"):
        MedicalImage.from_rgb(np.zeros((4, 5), np.uint8))
