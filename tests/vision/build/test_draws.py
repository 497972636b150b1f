"""References of a model half, and their noisy draws."""

from __future__ import annotations

import numpy as np
import pytest

from tests.vision.conftest import scan
from vision.build.draws import SEVERITY_ABOVE_MAX, check_references, noisy_draw
from vision.build.reference_checks import coloured_share
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage


def test_too_few_different_references_are_refused() -> None:
    with pytest.raises(BankRefused, match="at least 64 different clean images, got 63"):
        check_references([scan(number) for number in range(63)])
    with pytest.raises(BankRefused, match="at least 64 different clean images, got 1:"):
        check_references([scan(1)] * 100)


def test_near_duplicates_are_refused() -> None:
    rgb = scan(1).rgb
    copies = []
    for number in range(64):
        pixel = rgb.copy()
        pixel[number % 60, 3] = 1 + number
        copies.append(MedicalImage.from_rgb(pixel))
    with pytest.raises(BankRefused, match="near-duplicates of 1"):
        check_references(copies)


def test_coloured_references_are_counted() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (3, 1, 1, 3), dtype=np.uint8)
    base[..., 0], base[..., 2] = 200, 20
    photographs = [MedicalImage.from_rgb(np.tile(one, (40, 40, 1))) for one in base]
    assert coloured_share(photographs) == 1.0
    assert coloured_share([*photographs, scan(1), scan(2), scan(3)]) == 0.5


def test_a_draw_above_the_grid_is_stronger_than_the_strongest() -> None:
    def error(severity: int) -> float:
        lost = []
        for number in range(12):
            image = scan(number, side=64)
            noisy = noisy_draw(image, "gaussian", severity, 0, side=None, seed=0)
            lost.append(np.square(noisy.rgb.astype(float) - image.rgb).mean())
        return float(np.mean(lost))

    assert error(SEVERITY_ABOVE_MAX) > 1.2 * error(5)
