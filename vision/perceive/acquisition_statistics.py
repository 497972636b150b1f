"""Acquisition statistics of the pixels, for the noise classifier.

Each describes how an image was acquired, not its content: noise floor in bright and dark regions,
spectrum, direction of blur, repeated contours, contrast range, slow illumination. All are computed
on the grey image at a fixed side, so that they are comparable over image sizes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from vision.perceive.artefact_statistics import artefact_statistics
from vision.perceive.medians import median

Floats = NDArray[np.float64]

_EPS = 1e-4
"""Floor under logarithms: a tenth of a grey level of 256."""

_RADIAL_BANDS = 8
_LAGS = (1, 2, 4, 8)
_PERCENTILES = (1.0, 10.0, 50.0, 90.0, 99.0)


def grey_image(rgb: NDArray[np.uint8], side: int) -> Floats:
    """(H, W, 3) uint8 -> (side, side) grey in [0, 1], resized as processors do (bicubic)."""
    grey = Image.fromarray(rgb).convert("L")
    if grey.size != (side, side):
        grey = grey.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(grey, dtype=np.float64) / 255.0


def acquisition_statistics(grey: Floats) -> Floats:
    """The statistics, (p,), of one (side, side) grey image in [0, 1]."""
    return np.concatenate(
        [
            _noise_floor(grey),
            _spectrum(grey),
            _direction(grey),
            _repetition(grey),
            _air(grey),
            _blockiness(grey),
            _range(grey),
            _slow_field(grey),
            artefact_statistics(grey),
        ]
    )


def _log(value: float | Floats) -> Floats:
    return np.log(np.atleast_1d(np.asarray(value, dtype=np.float64)) + _EPS)


def _mad(values: Floats) -> float:
    return float(np.median(np.abs(values))) if values.size else 0.0


def _noise_floor(grey: Floats) -> Floats:
    """Laplacian MAD and median-filter residuals, over all, dark, middle and bright regions."""
    laplacian = ndimage.laplace(grey, mode="nearest")
    smooth = median(torch.from_numpy(grey)[None, None], 3)[0, 0].numpy()
    residual = grey - smooth
    low, high = np.quantile(smooth, [0.25, 0.75])
    regions = (smooth <= low, (smooth > low) & (smooth < high), smooth >= high)
    # Mean absolute values too: where more than half of the pixels are flat background the median
    # is zero whatever the noise in the anatomy.
    parts = [_mad(laplacian), float(np.abs(laplacian).mean()), float(np.abs(residual).mean())]
    parts += [_mad(residual[region]) for region in regions]
    parts += [float(np.abs(residual[region]).mean()) if region.any() else 0.0 for region in regions]
    parts.append(float((np.abs(residual) > 0.1).mean()))
    return _log(np.array(parts))


def _spectrum(grey: Floats) -> Floats:
    """Log power in rings of spatial frequency and in the corner, relative to the mean power."""
    windowed = (grey - grey.mean()) * np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.rfft2(windowed)) ** 2
    rows = np.abs(np.fft.fftfreq(grey.shape[0]))[:, None]
    columns = np.abs(np.fft.rfftfreq(grey.shape[1]))[None, :]
    radius = np.sqrt(rows**2 + columns**2)
    edges = np.linspace(0.0, 0.5, _RADIAL_BANDS + 1)
    rings = np.array(
        [
            power[(radius >= low) & (radius < high)].mean()
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]
    )
    total = power.mean() + 1e-12
    corner = power[radius >= 0.5].mean()
    # High frequencies along rows and columns: motion along one axis removes one of them.
    along_rows = power[(rows > 0.3) & (columns < 0.1)].mean()
    along_columns = power[(columns > 0.3) & (rows < 0.1)].mean()
    extra = np.array([corner, along_rows, along_columns])
    relative = np.log(np.concatenate([rings, extra]) / total + 1e-9)
    return np.concatenate([relative, np.log(np.array([total]) + 1e-9)])


def _direction(grey: Floats) -> Floats:
    """Gradient anisotropy: horizontal against vertical, first and second differences."""
    dx = np.abs(np.diff(grey, axis=1)).mean()
    dy = np.abs(np.diff(grey, axis=0)).mean()
    dxx = np.abs(np.diff(grey, n=2, axis=1)).mean()
    dyy = np.abs(np.diff(grey, n=2, axis=0)).mean()
    logs = _log(np.array([dx, dy, dxx, dyy]))
    return np.array(
        [logs[0] - logs[1], logs[2] - logs[3], logs[2] - logs[0], logs[3] - logs[1], logs[0]]
    )


def _autocorrelation(grey: Floats) -> Floats:
    """Normalised circular autocorrelation of the high-passed image."""
    high = grey - ndimage.uniform_filter(grey, size=5, mode="nearest")
    spectrum = np.abs(np.fft.rfft2(high - high.mean())) ** 2
    correlation = np.fft.irfft2(spectrum, s=grey.shape)
    return np.asarray(correlation / (correlation[0, 0] + 1e-9), dtype=np.float64)


def _repetition(grey: Floats) -> Floats:
    """Autocorrelation at short lags, and at a half, a third and a quarter of the side.

    The latter are usual displacements of ghosts; the maximum over the axis finds others.
    """
    correlation = _autocorrelation(grey)
    height, width = grey.shape
    short = [correlation[0, lag] for lag in _LAGS] + [correlation[lag, 0] for lag in _LAGS]
    ghosts = []
    for part in (2, 3, 4):
        ghosts += [
            correlation[round(height / part), :3].max(),
            correlation[:3, round(width / part)].max(),
        ]
    ghosts += [
        correlation[8 : height // 2 + 1, 0].max(),
        correlation[0, 8 : width // 2 + 1].max(),
    ]
    # A ghost is a peak above the rest of its axis; texture raises the whole axis.
    for axis in (correlation[6 : height // 2 + 1, 0], correlation[0, 6 : width // 2 + 1]):
        ghosts += [float(axis.std()), float(axis.max() - np.median(axis))]
    return np.array(short + ghosts)


def _air(grey: Floats) -> Floats:
    """Statistics of the air around the body, where copies and streaks are visible.

    Level, spread and gradients of the darkest fifth, and the spread of the row and column profiles
    of the outer frame.
    """
    smooth = ndimage.uniform_filter(grey, size=3, mode="nearest")
    air = smooth <= np.quantile(smooth, 0.2)
    dx = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))[air].mean()
    dy = np.abs(np.diff(grey, axis=0, append=grey[-1:]))[air].mean()
    frame = max(grey.shape[0] // 12, 2)
    sides = np.concatenate([grey[:, :frame], grey[:, -frame:]], axis=1)
    ends = np.concatenate([grey[:frame], grey[-frame:]], axis=0)
    spreads = [sides.mean(axis=1).std(), ends.mean(axis=0).std(), sides.std(), ends.std()]
    logs = _log(np.array([grey[air].mean(), grey[air].std(), dx, dy, *spreads]))
    return np.concatenate([logs, [logs[2] - logs[3], logs[4] - logs[5]]])


def _blockiness(grey: Floats) -> Floats:
    """Log of the steps across the borders of 8-pixel blocks over the mean step (JPEG)."""
    dx = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    dy = np.abs(np.diff(grey, axis=0)).mean(axis=1)
    across = dx[7::8].mean() + dy[7::8].mean()
    inside = dx.mean() + dy.mean()
    return _log(float(across)) - _log(float(inside))


def _range(grey: Floats) -> Floats:
    """Percentiles, spread, share of the histogram's bins in use, and clipped shares."""
    percentiles = np.quantile(grey, np.array(_PERCENTILES) / 100.0)
    used = np.histogram(grey, bins=64, range=(0.0, 1.0))[0] > 0
    clipped = np.array([(grey <= 0.004).mean(), (grey >= 0.996).mean()])
    spread = np.array([grey.mean(), grey.std(), float(grey.max()), float(grey.min())])
    return np.concatenate([percentiles, spread, [used.mean()], clipped])


def _slow_field(grey: Floats) -> Floats:
    """Second-order trend of the log image, a measure of slow multiplicative fields: (8,).

    Fitted by least squares over pixels above a tenth of the maximum: the coefficients, the slope,
    and the log spread of the trend and of the residual.
    """
    height, width = grey.shape
    y, x = np.mgrid[0:height, 0:width]
    y = 2.0 * (y + 0.5) / height - 1.0
    x = 2.0 * (x + 0.5) / width - 1.0
    mask = grey > 0.1 * max(float(grey.max()), _EPS)
    if mask.sum() < 32:
        return np.zeros(8)
    log = np.log(grey[mask] + 0.02)
    basis = np.stack([np.ones_like(x), x, y, x * y, x**2, y**2], axis=-1)[mask]
    # Six smooth terms over thousands of pixels: the normal equations are accurate enough.
    gram = basis.T @ basis + 1e-9 * len(basis) * np.eye(basis.shape[1])
    coefficients = np.linalg.solve(gram, basis.T @ log)
    fitted = basis @ coefficients
    slope = coefficients[1:]
    return np.array(
        [
            *slope,
            float(np.hypot(slope[0], slope[1])),
            float(np.log(fitted.std() + _EPS)),
            float(np.log((log - fitted).std() + _EPS)),
        ]
    )
