"""Severities mean what DESIGN.md says: mean SSIM on real images, by bands, falling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imc_bench.metrics.similarity import ssim
from imc_noise import CORE_IMAGE, EXTENDED_IMAGE, apply_image, noise_rng
from imc_noise.strengths import NOT_BY_SSIM, SSIM_BANDS

pytest.importorskip("skimage", reason="SSIM needs scikit-image (extra: bench)")

PER_SET = 14
TOLERANCE = 0.05
"""For so few images; `benchmarks/noise_ssim.py` holds the bands themselves on more."""


@pytest.fixture(scope="module")
def real_images(data_folder: Path) -> list[NDArray[np.uint8]]:
    """Radiographs, CT and MR of both data sets at the embedded model's 112 pixels, grey."""
    slake = sorted((data_folder / "slake" / "imgs").glob("*/source.jpg"))
    rad = sorted((data_folder / "vqa-rad" / "VQA_RAD Image Folder").glob("*.jpg"))
    paths = [*slake[:: len(slake) // PER_SET], *rad[:: len(rad) // PER_SET]]
    return [
        np.asarray(Image.open(path).convert("L").resize((112, 112), Image.Resampling.BICUBIC))
        for path in paths
    ]


def mean_ssims(name: str, images: list[NDArray[np.uint8]]) -> list[float]:
    """Mean SSIM at severity 1..5."""
    return [
        float(
            np.mean(
                [
                    ssim(
                        clean,
                        apply_image(name, clean, severity, noise_rng(str(i), name, severity)),
                    )
                    for i, clean in enumerate(images)
                ]
            )
        )
        for severity in range(1, 6)
    ]


@pytest.mark.parametrize(
    "name", [name for name in CORE_IMAGE + EXTENDED_IMAGE if name not in NOT_BY_SSIM]
)
def test_mean_ssim_falls_through_the_bands(name: str, real_images: list[NDArray[np.uint8]]) -> None:
    means = mean_ssims(name, real_images)
    assert (np.diff(means) < 0).all(), means
    for mean, (low, high) in zip(means, SSIM_BANDS, strict=True):
        assert low - TOLERANCE <= mean <= high + TOLERANCE, means


@pytest.mark.parametrize("name", [name for name in NOT_BY_SSIM if name != "saturate"])
def test_mean_ssim_falls_where_the_bands_do_not_fit(
    name: str, real_images: list[NDArray[np.uint8]]
) -> None:
    means = mean_ssims(name, real_images)
    assert (np.diff(means) < 0).all(), means
