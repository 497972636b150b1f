"""Grey values of any depth to 8 bit: the one place that decides what black and white mean.

Every function takes an array of shape ``(H, W)`` or ``(H, W, C)`` and gives ``uint8`` of the
same shape. Nothing depends on anything but the values, so the same file gives the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]

DEPTHS = (8, 10, 12, 14, 16, 24, 32)
"""Depths that scanners and cameras write. A 12-bit radiograph is commonly stored in 16 bits;
scaled by its container it would be nearly black."""

TAILS = (0.5, 99.5)
"""Percentiles that become black and white where a DICOM names no window: a few metal or dead
pixels must not decide the contrast of everything else."""


def to_bytes(unit: Pixels) -> NDArray[np.uint8]:
    """Values in [0, 1], of any shape, to rounded ``uint8``; what lies outside is clipped."""
    return np.rint(np.clip(unit, 0.0, 1.0) * 255.0).astype(np.uint8)


def spread(values: Pixels, low: float, high: float) -> NDArray[np.uint8]:
    """Linear from ``low`` (black) to ``high`` (white); an image of one value is black."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    return to_bytes((values.astype(np.float64) - low) / (high - low))


def by_depth(values: Pixels) -> NDArray[np.uint8]:
    """Stored samples without a window (PNG, TIFF, arrays) to ``uint8``, nothing clipped.

    ``uint8`` passes unchanged and booleans become 0 and 255. Other integers are divided by the
    largest value of the smallest of `DEPTHS` that holds their maximum, so 12 bits in a 16-bit
    file keep their contrast; with negative samples they run from minimum to maximum. Floats in
    [0, 1] keep that range, all others run from minimum to maximum; what is not finite is black.

    Raises:
        ValueError: samples that are not numbers, or no finite sample at all.
    """
    if values.dtype == np.uint8:
        return values.copy()
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        if low < 0:
            return spread(values, low, high)
        depth = next((bits for bits in DEPTHS if high < 1 << bits), 64)
        return spread(values, 0.0, float((1 << depth) - 1))
    if values.dtype.kind != "f":
        raise ValueError(f"samples of type {values.dtype} are not grey values")
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no sample is a finite number")
    wide = values.astype(np.float64)
    least, most = float(wide[finite].min()), float(wide[finite].max())
    inside = least >= 0.0 and most <= 1.0
    black = 0.0 if inside else least
    return spread(np.where(finite, wide, black), black, 1.0 if inside else most)


def by_percentiles(values: Pixels, counted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Values ``(H, W)`` without a window, between the `TAILS` of the ``counted`` ones.

    Where the tails meet (a mostly empty image) the range runs from minimum to maximum.
    """
    kept = values[counted]
    if kept.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = (float(edge) for edge in np.percentile(kept, TAILS))
    if not high > low:
        low, high = float(kept.min()), float(kept.max())
    return spread(values, low, high)


def by_window(values: Pixels, centre: float, width: float, shape: str) -> NDArray[np.uint8]:
    """A DICOM window (PS3.3 C.11.2.1.2 and .3) over rescaled values, for example HU.

    Args:
        values: rescaled values, ``(H, W)``.
        centre: WindowCenter, in the unit of ``values``.
        width: WindowWidth, in the same unit.
        shape: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID`` (VOILUTFunction).

    Raises:
        ValueError: a width that the standard forbids, or an unknown function.
    """
    wide = values.astype(np.float64)
    if shape == "SIGMOID":
        if width <= 0:
            raise ValueError("WindowWidth must be above 0")
        return to_bytes(1.0 / (1.0 + np.exp(np.clip(-4.0 * (wide - centre) / width, -60, 60))))
    if shape == "LINEAR_EXACT":
        if width <= 0:
            raise ValueError("WindowWidth must be above 0")
        return to_bytes((wide - centre) / width + 0.5)
    if shape != "LINEAR":
        raise ValueError("VOILUTFunction is not one of LINEAR, LINEAR_EXACT, SIGMOID")
    if width < 1:
        raise ValueError("WindowWidth must be at least 1")
    if width == 1:
        return to_bytes((wide > centre - 0.5).astype(np.float64))
    return to_bytes((wide - (centre - 0.5)) / (width - 1.0) + 0.5)
