"""Stripes: waves laid over a picture, most of it cut at black and white."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.vision.conftest import corrupted, scan
from vision.acquisition.scales import planes_of
from vision.reading.medical_image import MedicalImage
from vision.restore.stripes import remove_stripes

FREQUENCIES = [(0.16, 0.0), (0.0, 0.27), (0.31, -0.22), (0.487, 0.07), (-0.173, 0.401)]


def striped(picture: Tensor, amplitude: float, *frequencies: tuple[float, float]) -> Tensor:
    """With waves of one amplitude at (down, across) cycles a pixel, as a file keeps them."""
    rows = torch.arange(picture.shape[0])[:, None]
    columns = torch.arange(picture.shape[1])[None]
    waves = torch.zeros_like(picture)
    for down, across in frequencies:
        waves += torch.cos(2.0 * math.pi * (down * rows + across * columns) + 0.4)
    levels = 255.0 * (picture + amplitude * waves)
    return (levels.round().clamp(0, 255) / 255.0).float()


def grey_of(image: MedicalImage) -> Tensor:
    return planes_of(image, (image.height, image.width))[0]


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).square().mean().sqrt())


@pytest.mark.parametrize(("down", "across"), FREQUENCIES)
@pytest.mark.parametrize("amplitude", [0.1, 0.5, 2.0])
def test_a_sinusoid_is_removed_however_many_pixels_it_clips(
    amplitude: float, down: float, across: float
) -> None:
    clean = grey_of(scan(3, 112))
    noisy = striped(clean, amplitude, (down, across))
    assert error(remove_stripes(noisy), clean) < 0.4 * error(noisy, clean)


def test_unclipped_pixels_are_restored_to_the_grey_level() -> None:
    clean = 0.3 + 0.4 * grey_of(scan(5, 96))
    restored = remove_stripes(striped(clean, 0.1, (0.21, 0.13)))
    assert error(restored, clean) < 0.01


def test_several_sinusoids_are_removed() -> None:
    clean = grey_of(scan(8, 112))
    noisy = striped(clean, 0.12, *FREQUENCIES[1:4])
    assert error(remove_stripes(noisy), clean) < 0.4 * error(noisy, clean)


@pytest.mark.parametrize("kind", ["", "gaussian", "low_contrast", "bias_field", "impulse"])
def test_pictures_without_stripes_stay_the_same_object(kind: str) -> None:
    for number in range(12):
        image = scan(number, 112)
        grey = grey_of(corrupted(image, kind, 3) if kind else image)
        assert remove_stripes(grey) is grey


@pytest.mark.parametrize(
    "grey",
    [
        torch.zeros(32, 32),
        torch.ones(40, 24),
        torch.full((17, 31), 0.5),
        torch.eye(64),
        (torch.arange(48 * 48).reshape(48, 48) % 2).float(),
    ],
    ids=["black", "white", "grey", "line", "checks"],
)
def test_empty_pictures_are_not_changed(grey: Tensor) -> None:
    found = remove_stripes(grey)
    assert found.shape == grey.shape
    assert bool(torch.isfinite(found).all())
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0


def test_a_picture_that_is_no_square() -> None:
    clean = grey_of(scan(2, 128))[:, 20:116]
    noisy = striped(clean, 1.5, (0.37, 0.18))
    assert error(remove_stripes(noisy), clean) < 0.3 * error(noisy, clean)
