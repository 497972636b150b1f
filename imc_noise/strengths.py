"""How strong a severity is: from 1..5 to each image noise's own physical unit.

The numbers are `data/image_strengths.tsv`, made by `benchmarks/noise_ssim.py --calibrate`: the
strengths at which the mean SSIM over real images (SLAKE train and VQA-RAD) sits in the middle of
its band. One strength does not look equally severe at every image size (a 7-pixel SSIM window
sees less anatomy in a larger image), so there is one row per size, interpolated in log size.
The noises of `NOT_BY_SSIM` have one row for all sizes (size 1).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from imc_noise.data_files import read_table

SSIM_BANDS: tuple[tuple[float, float], ...] = (
    (0.90, 0.98),
    (0.80, 0.90),
    (0.70, 0.80),
    (0.60, 0.70),
    (0.50, 0.60),
)
"""Mean SSIM to the clean image at severity 1..5 (DESIGN.md, "The noises")."""

NOT_BY_SSIM = (
    "jpeg",
    "contrast_down",
    "saturate",
    "stain",
    "bubble",
    "black_corner",
    "characters",
)
"""Noises that the bands do not fit. SSIM takes a black background turned dark grey for a ruin
(contrast_down), sees no colour (saturate), falls only with the area hidden (the last four), and
baseline JPEG cannot get below about 0.68. Their severities are steps of their own unit, the same
at every image size; their SSIM falls with severity too, outside the bands."""


@cache
def _anchors(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log sizes (rows,) and log strengths (rows, 5) of one noise."""
    rows = sorted((int(r[1]), [float(v) for v in r[2:7]]) for r in _rows(name))
    sizes = np.log([size for size, _ in rows])
    return sizes, np.log([values for _, values in rows])


def _rows(name: str) -> list[tuple[str, ...]]:
    return [row for row in read_table("image_strengths.tsv") if row[0] == name]


def strength(name: str, severity: float, shape: tuple[int, ...]) -> float:
    """The strength of image noise `name` at `severity` in 1..5 for an image of `shape` (H, W, ...).

    Geometric interpolation between integer severities and between the calibrated sizes
    (size = √(H·W) pixels); the outermost rows hold beyond the calibrated sizes.
    """
    sizes, table = _anchors(name)
    size = np.log(max(float(shape[0] * shape[1]), 1.0)) / 2.0
    at_size = [np.interp(size, sizes, table[:, column]) for column in range(5)]
    return float(np.exp(np.interp(severity, np.arange(1, 6), at_size)))
