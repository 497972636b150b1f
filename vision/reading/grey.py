"""Sample values of any depth to 8 bit: the one place that decides what black and white mean.

Every function takes an array of shape ``(H, W)`` or ``(H, W, C)`` and gives ``uint8`` of the
same shape. Nothing depends on anything but the values, so the same file gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Pixels = NDArray[Any]
UInt8Array = NDArray[np.uint8]

DEPTHS = (8, 10, 12, 14, 16)
"""Depths that scanners and cameras write. A 12-bit radiograph is commonly stored in 16 bits;
scaled by its container it would be nearly black."""

TAILS = (0.5, 99.5)
"""Percentiles that become black and white where a DICOM names no window: a few metal or dead
pixels must not decide the contrast of everything else."""

BAND = 1 << 18
"""Samples computed at once in `in_bands`: their temporaries stay in the processor's cache."""


def in_bands(
    change: Callable[[Pixels], Pixels],
    values: Pixels,
    channels: int = 0,
    dtype: DTypeLike = np.uint8,
) -> Pixels:
    """Apply ``change`` to a few rows at a time, so that no temporary is as large as the image.

    Args:
        change: elementwise, from rows of ``values`` to rows of ``dtype``.
        values: ``(H, W)``, ``(H, W, C)`` or ``(n,)``.
        channels: of the result, where ``change`` adds or replaces the last axis.
        dtype: of the result.
    """
    shape = (*values.shape[:2], channels) if channels else values.shape
    out = np.empty(shape, dtype)
    rows = max(1, BAND // max(1, values[:1].size))
    for top in range(0, len(values), rows):
        out[top : top + rows] = change(values[top : top + rows])
    return out


def to_bytes(unit: Pixels) -> UInt8Array:
    """Values in [0, 1], of any shape, to rounded ``uint8``; what lies outside is clipped."""
    return np.rint(np.clip(unit, 0.0, 1.0) * 255.0).astype(np.uint8)


def spread(values: Pixels, low: float, high: float) -> UInt8Array:
    """Linear from ``low`` (black) to ``high`` (white); an image of one value is black."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    return in_bands(lambda band: to_bytes((band.astype(np.float64) - low) / (high - low)), values)


def by_depth(values: Pixels) -> UInt8Array:
    """Stored samples without a window (PNG, TIFF, arrays) to ``uint8``, nothing clipped.

    ``uint8`` passes unchanged and booleans become 0 and 255. Other integers are divided by the
    largest value of the smallest of `DEPTHS` that holds their maximum, so 12 bits in a 16-bit
    file keep their contrast; with negative samples or more than 16 bits they run from minimum to
    maximum. Floats in [0, 1] keep that range, all others run from minimum to maximum; what is not
    finite is black.
    The channels of a colour image share one range.

    Raises:
        ValueError: samples that are not numbers, or no finite sample at all.
    """
    if values.dtype == np.uint8:
        return values.copy()
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        depth = next((bits for bits in DEPTHS if high < 1 << bits), None)
        if low < 0 or depth is None:
            return spread(values, low, high)
        return spread(values, 0.0, float((1 << depth) - 1))
    if values.dtype.kind != "f":
        raise ValueError(f"samples of type {values.dtype} are not grey values")
    least, most = finite_range(values)
    inside = least >= 0.0 and most <= 1.0
    black, white = (0.0, 1.0) if inside else (least, most)

    def shown(band: Pixels) -> Pixels:
        return spread(np.where(np.isfinite(band), band, black), black, white)

    return in_bands(shown, values)


def finite_range(values: Pixels) -> tuple[float, float]:
    """Least and greatest finite sample; values that are not finite never set a range.

    Raises:
        ValueError: no sample is a finite number.
    """
    least = float(np.min(values, initial=np.inf, where=np.isfinite(values)))
    most = float(np.max(values, initial=-np.inf, where=np.isfinite(values)))
    if least > most:
        raise ValueError("no sample is a finite number")
    return least, most


def tails(kept: Pixels, scale: Callable[[Pixels], Pixels]) -> tuple[float, float]:
    """The range of values without a window: between the `TAILS` of ``scale(kept)``.

    Equal to ``np.percentile(scale(kept), TAILS)`` without an array of scaled values as large as
    the image: a monotone ``scale`` maps order statistics to order statistics. Where the tails
    meet (a mostly empty image) the range runs from minimum to maximum.

    Args:
        kept: stored samples that count, ``(n,)``, n ≥ 1, finite; reordered in place.
        scale: non-decreasing or non-increasing.
    """
    last = kept.size - 1
    places = [last * (tail / 100.0) for tail in TAILS]
    below = [int(place) for place in places]
    ranks = sorted({0, last, *below, *(min(rank + 1, last) for rank in below)})
    kept.partition(sorted({*ranks, *(last - rank for rank in ranks)}))
    ascending = scale(kept[[0, last]])
    falling = bool(ascending[0] > ascending[1])
    order = scale(kept[[last - rank if falling else rank for rank in ranks]]).astype(np.float64)
    at = dict(zip(ranks, order.tolist(), strict=True))
    low, high = (
        _between(at[rank], at[min(rank + 1, last)], place - rank)
        for rank, place in zip(below, places, strict=True)
    )
    return (low, high) if high > low else (at[0], at[last])


def _between(low: float, high: float, part: float) -> float:
    """Linear interpolation with numpy's rounding, so that ranges equal those of np.percentile."""
    step = high - low
    return high - step * (1.0 - part) if part >= 0.5 else low + step * part


def by_window(values: Pixels, centre: float, width: float, shape: str) -> UInt8Array:
    """A DICOM window (PS3.3 C.11.2.1.2 and C.11.2.1.3) over rescaled values, for example HU.

    Args:
        values: rescaled values, ``(H, W)``.
        centre: WindowCenter, in the unit of ``values``.
        width: WindowWidth, in the same unit: at least 1 for ``LINEAR``, else above 0.
        shape: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID`` (VOILUTFunction).
    """
    wide = values.astype(np.float64)
    if shape == "SIGMOID":
        return to_bytes(1.0 / (1.0 + np.exp(np.clip(-4.0 * (wide - centre) / width, -60, 60))))
    if shape == "LINEAR_EXACT":
        return to_bytes((wide - centre) / width + 0.5)
    if width == 1:
        return to_bytes((wide > centre - 0.5).astype(np.float64))
    return to_bytes((wide - (centre - 0.5)) / (width - 1.0) + 0.5)


def grey_rgb(grey: UInt8Array) -> UInt8Array:
    """``(H, W)`` to ``(H, W, 3)``, the same value in each channel."""
    return np.repeat(grey[:, :, None], 3, axis=2)
