"""Noise of other sensors: coherent waves (speckle), light (shot), broken pixels (impulse)."""

from __future__ import annotations

import numpy as np

from imc_noise.image.planes import Planes

ROWS_AT_ONCE = 1 << 20
"""Pixels of 64-bit draws held at once, so that 8000-pixel images fit."""


def speckle(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Coherent waves (ultrasound, OCT) interfere: multiplicative grain, none where it is black.

    `strength` is the relative standard deviation. An intensity averaged over L looks follows a
    gamma law of mean 1 and variance 1/L; here L = strength⁻². Each colour plane has its own grain.
    """
    looks = strength**-2
    corrupted = np.empty_like(planes)
    flat, out = planes.reshape(-1), corrupted.reshape(-1)
    for start in range(0, flat.size, ROWS_AT_ONCE):
        part = flat[start : start + ROWS_AT_ONCE]
        grain = rng.standard_gamma(looks, size=part.size) / looks
        out[start : start + ROWS_AT_ONCE] = part * grain
    return corrupted


def shot(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Too little light in a camera or microscope: the photons of each pixel are counted.

    `strength` is 1/√N with N the photons of a white pixel: g' ~ Poisson(N·g)/N, so the noise grows
    with the square root of the grey and black stays black. Each colour plane counts its own.
    """
    photons = strength**-2
    corrupted = np.empty_like(planes)
    flat, out = planes.reshape(-1), corrupted.reshape(-1)
    for start in range(0, flat.size, ROWS_AT_ONCE):
        part = flat[start : start + ROWS_AT_ONCE].astype(np.float64)
        out[start : start + ROWS_AT_ONCE] = rng.poisson(part * photons) / photons
    return corrupted


def impulse(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Dead and stuck pixels, or bits lost on the way: black and white dots, as many of each.

    `strength` is the share of pixels hit, up to 1. A pixel is hit in all its colours. Under one
    generator state a stronger draw hits what a weaker one hits, and more.
    """
    drawn = rng.random(planes.shape[1:], dtype=np.float32)
    half = np.float32(min(strength, 1.0) / 2.0)
    corrupted: Planes = planes.copy()
    corrupted[:, drawn < half] = 0.0
    corrupted[:, drawn > np.float32(1.0) - half] = 1.0
    return corrupted
