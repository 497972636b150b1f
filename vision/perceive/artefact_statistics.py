"""Statistics of localised artefacts: displaced copies, and blocks of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]

_PERIODS = range(2, 9)
_DETAIL = 2.0
"""Standard deviation, in pixels, of the blur that separates detail from slow brightness."""
_MIN_DISPLACEMENT = 0.08
"""Displacements below this share of the side are ignored: texture correlates there."""
_FLOOR = 1e-4


def artefact_statistics(grey: Floats) -> Floats:
    """(22,) of a (side, side) grey image in [0, 1]: blocks and copies along each axis."""
    return np.array([*_blocks(grey), *_copies(grey)])


def _blocks(grey: Floats) -> list[float]:
    """Log of the steps across the borders of blocks of 2 to 8 pixels over the mean step."""
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        steps = steps / (steps.mean() + 1e-6)
        most = max(steps[first::period].mean() for period in _PERIODS for first in range(period))
        found.append(float(np.log(most + 1e-3)))
    return found


def _copies(grey: Floats) -> list[float]:
    """Regression of detail in the dark part on the bright part, displaced along each axis.

    A ghost is a displaced copy, and over air it is the only signal. The same without regions finds
    copies over the body. Per axis, with and without regions: the median and the largest
    coefficient over all displacements, their ratio, the mean of the four largest, and the largest
    mean of symmetric pairs.
    """
    smooth = ndimage.uniform_filter(grey, 3, mode="nearest")
    bright = float(np.quantile(smooth, 0.99))
    dark = smooth <= max(float(np.quantile(smooth, 0.3)), 0.12 * bright)
    detail = grey - ndimage.gaussian_filter(grey, _DETAIL, mode="nearest")
    found: list[float] = []
    for axis in (0, 1):
        size = grey.shape[axis]
        for apart in (True, False):
            here = detail * dark if apart else detail
            there = detail * ~dark if apart else detail
            correlation = _correlation(here, there, axis)
            if apart:
                power = _correlation(dark.astype(np.float64), there * there, axis)
                floor = 1e-3 * float((there * there).sum()) + 1e-6
                coefficients = correlation / (np.maximum(power, 0.0) + floor)
            else:
                coefficients = correlation / (correlation[0] + 1e-6)
            nearest = max(3, int(_MIN_DISPLACEMENT * size))
            far = coefficients[nearest : size - nearest + 1]
            peaks = np.abs(far - ndimage.median_filter(far, size=15, mode="nearest"))
            typical = float(np.median(peaks)) + _FLOOR
            found += [np.log(typical), peaks.max(), np.log((peaks.max() + _FLOOR) / typical)]
            pairs = 0.5 * (coefficients + coefficients[-np.arange(size) % size])
            pairs = pairs[nearest : size // 2 + 1]
            pairs = np.abs(pairs - ndimage.median_filter(pairs, size=11, mode="nearest"))
            found += [np.sort(peaks)[-4:].mean(), pairs.max()]
    return [float(value) for value in found]


def _correlation(a: Floats, b: Floats, axis: int) -> Floats:
    """Circular correlation along an axis, summed over the other: (size,) by displacement."""
    spectra = np.fft.rfft(a, axis=axis) * np.conj(np.fft.rfft(b, axis=axis))
    return np.asarray(np.fft.irfft(spectra.sum(axis=1 - axis), n=a.shape[axis]))
