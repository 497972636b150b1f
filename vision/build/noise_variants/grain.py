"""Grain: white and correlated, Poisson, Rician, multiplicative, dots; shared by planes or not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import (
    add_residual,
    amplitude,
    sampled,
    squared_error,
)

SHARED = 0.6
"""Share of draws of a colour picture in which all planes get the same grain."""
CORRELATED = 0.3
"""Share of draws whose grain is slightly smoothed, as by interpolation or a soft detector."""
WIDTHS = (0.35, 0.8)
"""Standard deviations of that smoothing, in pixels."""


def gaussian(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Additive normal grain, white or slightly correlated."""
    return add_residual(planes, _normal(planes, rng), target)


def shot(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Poisson counts of the grey over a dark current, with some read-out noise."""
    dark = float(rng.uniform(0.0, 0.1)) if rng.random() < 0.5 else 0.0
    readout = float(rng.uniform(0.0, 0.4)) if rng.random() < 0.5 else 0.0
    grey = np.maximum(planes, 0.0) + dark
    photons = float(grey.mean()) / max(target * (1.0 - readout), 1e-9)
    counted = rng.poisson(grey * photons).astype(np.float32) / np.float32(photons) - grey
    sigma = math.sqrt(target * readout)
    return add_residual(planes, counted + np.float32(sigma) * _normal(planes, rng), target)


def low_dose(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Poisson counts behind the patient, read as their logarithm, reconstructed by some filter.

    Attenuation, share of white noise, the filter's rise and cut-off, and the direction in which the
    noise is stronger are drawn.
    """
    attenuation = float(rng.uniform(1.5, 4.5))
    through = np.exp(-np.float32(attenuation) * planes)
    photons = float(np.mean(1.0 / through)) / max(target * attenuation**2, 1e-9)
    counts = np.maximum(rng.poisson(photons * through), 0.5)
    residual = np.log(counts / photons) / -attenuation - planes
    height, width = planes.shape[1:]
    down = np.fft.fftfreq(height)[:, None]
    across = np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(down, across)
    rise, cutoff = rng.uniform(0.5, 2.0), rng.uniform(0.25, 0.7)
    turn, uneven = rng.uniform(0.0, math.pi), rng.uniform(0.0, 0.8)
    power = (2.0 * radius) ** rise * np.exp(-((radius / cutoff) ** 4))
    power *= 1.0 + uneven * np.cos(2.0 * (np.arctan2(down, across) - turn))
    mean = float(power.mean())
    white = float(rng.uniform(0.1, 1.0))
    response = np.sqrt(white + (1.0 - white) * power / mean) if mean > 0.0 else np.ones(())
    shaped = np.fft.irfft2(np.fft.rfft2(residual) * response, s=(height, width))
    return add_residual(planes, shaped.astype(np.float32), target)


def rician(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Magnitude of a signal with normal noise in both channels of one to four receivers."""
    receivers = int(rng.choice((1, 1, 1, 2, 4)))
    shape = _grain_shape(planes, rng)
    real = rng.standard_normal(shape, dtype=np.float32)
    others = rng.chisquare(2 * receivers - 1, size=shape).astype(np.float32)

    def magnitude(grey: Planes, n: Planes, rest: Planes, sigma: float) -> Planes:
        scale = np.float32(sigma)
        found: Planes = np.sqrt((grey + scale * n) ** 2 + scale**2 * rest)
        return found

    clean, n, rest = sampled(planes), sampled(real), sampled(others)
    about = math.sqrt(target)
    sigma = amplitude(
        lambda a: squared_error(magnitude(clean, n, rest, a), clean),
        target,
        about / 8.0,
        about * 4.0,
    )
    return magnitude(planes, real, others, sigma)


def speckle(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Grain in proportion to brightness: normal, log-normal, Rayleigh or gamma distributed."""
    shape = _grain_shape(planes, rng)
    laws: tuple[Callable[[], NDArray[np.float64]], ...] = (
        lambda: rng.standard_normal(shape),
        lambda: rng.lognormal(0.0, float(rng.uniform(0.1, 0.6)), size=shape),
        lambda: rng.rayleigh(size=shape),
        lambda: rng.standard_gamma(float(rng.uniform(1.0, 12.0)), size=shape),
    )
    grain = laws[int(rng.integers(len(laws)))]()
    centred = _smoothed(np.asarray(grain - grain.mean(), dtype=np.float32), rng)
    return add_residual(planes, planes * centred, target)


def impulse(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Dots: white and black in any proportion, or of any grey; in all planes or in one."""
    shape = _grain_shape(planes, rng)
    drawn = rng.random(shape, dtype=np.float32)
    white = float(rng.choice((0.0, 0.5, 1.0))) if rng.random() < 0.5 else float(rng.random())
    values = (drawn < white).astype(np.float32) if rng.random() < 0.7 else drawn
    values = np.broadcast_to(values, planes.shape)
    if float(np.mean((values - planes) ** 2)) < target:  # white dots on white: other values
        values = np.where(planes < 0.5, np.float32(1.0), np.float32(0.0))
    share = target / max(float(np.mean((values - planes) ** 2)), 1e-9)
    hit = rng.random(shape, dtype=np.float32) < share
    return np.where(hit, values, planes).astype(np.float32)


def _grain_shape(planes: Planes, rng: np.random.Generator) -> tuple[int, ...]:
    """(C, H, W), or (1, H, W) where the planes share one grain."""
    return (1, *planes.shape[1:]) if rng.random() < SHARED else planes.shape


def _normal(planes: Planes, rng: np.random.Generator) -> Planes:
    return _smoothed(rng.standard_normal(_grain_shape(planes, rng), dtype=np.float32), rng)


def _smoothed(grain: NDArray[np.float32], rng: np.random.Generator) -> Planes:
    """`grain` (C, H, W), or it smoothed, by chance; its power is matched afterwards."""
    if rng.random() >= CORRELATED:
        return grain
    width = float(rng.uniform(*WIDTHS))
    smooth: Planes = ndimage.gaussian_filter(grain, (0.0, width, width))
    return smooth
