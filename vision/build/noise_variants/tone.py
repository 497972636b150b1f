"""Wrong grey levels: linear compressions and stretches, offsets, power and S-shaped curves."""

from __future__ import annotations

import numpy as np

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import pointwise

LEAST_CONTRAST = 0.08
"""Contrast that a compression always leaves: 20 of 255 grey levels."""


def low_contrast(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """All greys drawn towards one: black (a brightness factor) or a fog; the curve bent at times.

    x -> (1 - a)·x^γ + a·f, with f = 0 in two draws of five, else up to .55.
    """
    fog = 0.0 if rng.random() < 0.4 else float(rng.uniform(0.0, 0.55))
    exponent = float(np.exp(rng.uniform(-0.3, 0.55))) if rng.random() < 0.3 else 1.0
    return _compressed(planes, fog, target, exponent)


def contrast_down(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """All greys drawn towards the mean, the median or mid-grey."""
    centre = (float(planes.mean()), float(np.median(planes)), 0.5)[int(rng.integers(3))]
    return _compressed(planes, centre + float(rng.uniform(-0.05, 0.05)), target)


def contrast_up(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Greys spread about the mean or a level near it: linear, or along an S-curve."""
    # about a level far from the mean, a dark picture would turn all black
    centre = float(planes.mean()) + float(rng.uniform(-0.1, 0.15)) * (rng.random() < 0.5)
    if rng.random() < 0.3:

        def sigmoid(grey: Planes, gain: float) -> Planes:
            at = 1.0 / (1.0 + np.exp(np.float32(-gain) * (grey - np.float32(centre))))
            lowest, highest = (1.0 / (1.0 + np.exp(-gain * (end - centre))) for end in (0.0, 1.0))
            stretched: Planes = (at - np.float32(lowest)) / np.float32(highest - lowest)
            return stretched

        return pointwise(planes, sigmoid, target, 0.5, 30.0)

    def spread(grey: Planes, gain: float) -> Planes:
        stretched: Planes = centre + (grey - np.float32(centre)) * np.float32(1.0 + gain)
        return stretched

    return pointwise(planes, spread, target, 0.01, 12.0)


def brightness_up(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Over-exposed: a factor, an offset, or some of both."""
    offset = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.0, 0.4))

    def brighter(grey: Planes, gain: float) -> Planes:
        shown: Planes = grey * np.float32(1.0 + gain) + np.float32(offset * gain)
        return shown

    return pointwise(planes, brighter, target, 0.01, 12.0)


def gamma_up(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Mid-greys darker: a power above 1, of full scale or of the picture's own range."""
    return _power(planes, target, rng, 1.0)


def gamma_down(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Mid-greys lighter: a power below 1, of full scale or of the picture's own range."""
    return _power(planes, target, rng, -1.0)


def _compressed(planes: Planes, level: float, target: float, exponent: float = 1.0) -> Planes:
    def towards(grey: Planes, share: float) -> Planes:
        kept = np.float32(1.0 - share)
        drawn: Planes = kept * grey ** np.float32(exponent) + np.float32(share * level)
        return drawn

    return pointwise(planes, towards, target, 0.005, 1.0 - LEAST_CONTRAST)


def _power(planes: Planes, target: float, rng: np.random.Generator, sign: float) -> Planes:
    low, span = 0.0, 1.0
    if rng.random() < 0.4:
        low = float(planes.min())
        span = max(float(planes.max()) - low, 1e-3)

    def curved(grey: Planes, log_exponent: float) -> Planes:
        exponent = np.float32(np.exp(sign * log_exponent))
        part = np.maximum(grey - np.float32(low), 0.0) / np.float32(span)
        shown: Planes = np.float32(low) + np.float32(span) * part**exponent
        return shown

    return pointwise(planes, curved, target, 0.02, 2.6)
