"""Pictures of few grey levels are left as they are: their gaps are no noise that is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.vision.acquisition.conftest import phantom
from tests.vision.conftest import corrupted
from vision.acquisition import AcquisitionHalf
from vision.acquisition.grey_levels import few_levels
from vision.reading.medical_image import MedicalImage

Pixels = NDArray[np.uint8]
NUMBERS = range(3)


def posterised(rgb: Pixels, bits: int) -> Pixels:
    return np.asarray(ImageOps.posterize(Image.fromarray(rgb), bits))


def of_palette(rgb: Pixels, colours: int) -> Pixels:
    return np.asarray(Image.fromarray(rgb).convert("L").quantize(colours).convert("RGB"))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("number", NUMBERS)
def test_posterised_pictures_hold_few_levels(number: int, bits: int) -> None:
    assert 2 < few_levels(posterised(phantom(number).rgb, bits)) <= 2**bits


@pytest.mark.parametrize("number", NUMBERS)
def test_a_palette_of_eight_colours_holds_few_levels(number: int) -> None:
    assert 2 < few_levels(of_palette(phantom(number).rgb, 8)) <= 8


def test_a_picture_that_is_stretched_is_none_of_them() -> None:
    dark = np.rint(np.linspace(0.0, 80.0, 112 * 112)).reshape(112, 112).astype(np.uint8)
    assert few_levels(np.repeat(3 * dark[:, :, None], 3, axis=2)) == 0


def test_two_levels_are_few_and_one_is_none() -> None:
    mask = np.zeros((40, 40, 3), dtype=np.uint8)
    assert few_levels(mask) == 0
    mask[10:30, 10:30] = 255
    assert few_levels(mask) == 2


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "noise",
    [
        None,
        ("low_contrast", 5),
        ("contrast_up", 5),
        ("brightness_up", 5),
        ("shot", 5),
        ("impulse", 5),
    ],
)
def test_ordinary_and_noisy_pictures_do_not(noise: tuple[str, int] | None, number: int) -> None:
    image = phantom(number)
    assert few_levels((corrupted(image, *noise) if noise else image).rgb) == 0


@pytest.mark.parametrize("make", [posterised, of_palette])
def test_they_are_not_restored_whatever_is_found(
    acquisition: AcquisitionHalf, make: Callable[[Pixels, int], Pixels]
) -> None:
    bits_or_colours = {posterised: 3, of_palette: 8}[make]
    images = [MedicalImage.from_rgb(make(phantom(n).rgb, bits_or_colours)) for n in NUMBERS]
    for image, found in zip(images, acquisition.restore_batch(images, alpha=0.999), strict=True):
        assert found.image is image
        assert found.perception is not None and found.perception.kind != "clean"
        assert found.declined.startswith("nearly all pixels hold one of ")
        assert found.declined.endswith("grey levels: what lay between them cannot be told")
