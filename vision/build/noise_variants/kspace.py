"""Faults of k-space: lines scaled, phased, left out or cut off, and stray points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import add_residual

Lines = NDArray[np.complexfloating]


def ghosting(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Copies along one axis: every n-th line scaled with the centre kept, or a modulation.

    The lines' error is real (a loss) or of any phase (an echo's delay); magnitude or real part is
    shown.
    """
    axis = 1 + int(rng.integers(2))
    lines = planes.shape[axis]
    k = np.fft.fftfreq(lines, d=1.0 / lines)
    turn = 0.0 if rng.random() < 0.6 else float(rng.uniform(0.0, 2.0 * math.pi))
    high = 1e3
    if rng.random() < 0.65:
        factor, high = _comb(planes, axis, target, rng), 2.0
    else:
        factor = np.zeros(lines)
        shift = float(rng.uniform(0.05, 0.5))
        for order in range(1, int(rng.integers(1, 4)) + 1):
            phase, weight = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.2, 1.0) / order
            factor += weight * np.cos(2.0 * math.pi * k * shift * order + phase)
    residual = _filtered(planes, factor * np.exp(1j * turn), axis)
    if rng.random() < 0.5:
        return add_residual(planes, residual.real.astype(np.float32), target, high)
    return add_residual(planes, residual.astype(np.complex64), target, high)


def _comb(
    planes: Planes, axis: int, target: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(lines,): -1 at every n-th line (n 2 to 10, the centre kept), 0 elsewhere.

    n is lowered until the lines hold enough energy for the wanted error.
    """
    lines = planes.shape[axis]
    k = np.fft.fftfreq(lines, d=1.0 / lines)
    energy = np.sum(np.abs(np.fft.fft(planes, axis=axis)) ** 2, axis=(0, 3 - axis))
    energy /= lines * planes.size  # Parseval: the squared error where the line is left out
    kept, first = float(rng.uniform(0.0, 0.05)), int(rng.integers(10))
    factor = np.zeros(lines)
    for every in range(int(rng.integers(2, 11)), 1, -1):
        chosen = (np.arange(lines) + first) % every == 0
        factor = -(chosen & (np.abs(k) > kept * lines / 2.0)).astype(np.float64)
        if float(np.sum(energy * -factor)) > target:
            break
    return factor


def kspace_spike(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """One to six stray points anywhere in k-space; magnitude or real part is shown."""
    height, width = planes.shape[1:]
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    stripes = np.zeros((height, width), np.complex64)
    for _ in range(int(rng.integers(1, 7))):
        # squared: more of them near the centre, as in pictures others show
        frequency = 0.02 + 0.48 * float(rng.random()) ** 2
        angle, phase = rng.uniform(0.0, 2.0 * math.pi, size=2)
        down = rng.uniform(0.3, 1.0) * np.exp(2j * math.pi * frequency * math.sin(angle) * y)
        across = np.exp(2j * math.pi * frequency * math.cos(angle) * x + 1j * phase)
        stripes += down.astype(np.complex64) * across.astype(np.complex64)
    if rng.random() < 0.5:
        return add_residual(planes, stripes.real[None].astype(np.float32), target)
    return add_residual(planes, stripes[None], target)


def undersampling(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Lines left out at random, regularly or by distance; the centre is kept."""
    axis = 1 + int(rng.integers(2))
    lines = planes.shape[axis]
    spectrum = np.fft.fft(planes, axis=axis)
    energy = np.sum(np.abs(spectrum) ** 2, axis=(0, 3 - axis))
    distance = np.abs(np.fft.fftfreq(lines)) * 2.0
    order = np.argsort(rng.exponential(size=lines) / (0.05 + distance) ** rng.uniform(0.0, 2.5))
    if rng.random() < 0.3:  # a comb first, the further lines after it
        every = int(rng.integers(2, 5))
        order = np.concatenate([order[order % every == 0], order[order % every != 0]])
    order = order[distance[order] > rng.uniform(0.01, 0.1)]
    # Parseval: the energy of lines left out is the squared error summed over pixels, times lines
    weakened = 0.0 if rng.random() < 0.7 else float(rng.uniform(0.0, 0.3))
    error = np.cumsum(energy[order]) / (lines * planes.size) * (1.0 - weakened) ** 2
    factor = np.ones(lines)
    factor[order[: int(np.searchsorted(error, target)) + 1]] = weakened
    return _shown(_filtered(planes, factor, axis), rng)


def gibbs(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """The outer part of k-space left out: within an ellipse, a rectangle or a band, edge soft."""
    height, width = planes.shape[1:]
    down = 2.0 * np.abs(np.fft.fftfreq(height))[:, None]
    across = 2.0 * np.abs(np.fft.fftfreq(width))[None, :]
    stretch = float(np.exp(rng.uniform(-0.5, 0.5)))
    shapes = (
        np.hypot(down * stretch, across / stretch),
        np.maximum(down * stretch, across / stretch),
        down + 0.0 * across,
        across + 0.0 * down,
    )
    furthest = shapes[int(rng.integers(len(shapes)))]
    spectrum = np.fft.fft2(planes)
    order = np.argsort(furthest, axis=None)[::-1]
    energy = np.sum(np.abs(spectrum) ** 2, axis=0).ravel()[order]
    # Parseval in two dimensions
    error = np.cumsum(energy) / (height * width * planes.size)
    last = min(int(np.searchsorted(error, target)), len(order) - 2)
    cutoff = float(furthest.ravel()[order[last]])
    softness = max(float(rng.uniform(0.0, 0.1)) * cutoff, 1e-3)
    factor = 1.0 / (1.0 + np.exp(np.clip((furthest - cutoff) / softness, -40.0, 40.0)))
    return _shown(np.fft.ifft2(spectrum * factor), rng)


def _filtered(
    planes: Planes, factor: NDArray[np.float64] | NDArray[np.complex128], axis: int
) -> Lines:
    """`planes` with line k along `axis` (1 or 2) multiplied by factor[k]; complex."""
    along = factor[:, None] if axis == 1 else factor[None, :]
    return np.fft.ifft(np.fft.fft(planes, axis=axis) * along, axis=axis)


def _shown(complex_planes: Lines, rng: np.random.Generator) -> Planes:
    """Magnitude, or in a third of the draws the real part."""
    shown = complex_planes.real if rng.random() < 1.0 / 3.0 else np.abs(complex_planes)
    return shown.astype(np.float32)
