"""Wrong grey levels, pixel by pixel: exposure, window, display curve, colour saturation."""

from __future__ import annotations

import math

import numpy as np

from imc_noise.image.planes import Planes

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in perceived lightness (ITU-R BT.601)."""


def brightness_up(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Over-exposed: every grey times e^strength; what exceeds white is lost. No draws."""
    corrupted: Planes = planes * np.float32(math.exp(strength))
    return corrupted


def brightness_down(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Under-exposed: every grey times e^−strength, rounded to 8 bits afterwards. No draws."""
    corrupted: Planes = planes * np.float32(math.exp(-strength))
    return corrupted


def contrast_up(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Window too narrow: m + (x − m)·e^strength about the picture's mean m, cut at both ends."""
    return _about_mean(planes, math.exp(strength))


def contrast_down(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Window too wide: m + (x − m)·e^−strength about the picture's mean m: all greys draw together.

    Not calibrated by SSIM, which takes a black background turned dark grey for a ruined picture;
    its strengths leave 75 %, 56 %, 40 %, 28 % and 18 % of the contrast at every size.
    """
    return _about_mean(planes, math.exp(-strength))


def gamma_up(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Display curve too steep: x^(e^strength), mid-greys darker, ends kept. No draws."""
    return _power(planes, math.exp(strength))


def gamma_down(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Display curve too flat: x^(e^−strength), mid-greys lighter, ends kept. No draws."""
    return _power(planes, math.exp(-strength))


def saturate(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Colours too strong: the distance to the pixel's own grey times e^strength, lightness kept.

    A grey picture has no colour to exaggerate and comes back as it was. Not calibrated by SSIM,
    which is taken on greys: its strengths are factors of 1.4, 1.9, 2.6, 3.5 and 4.8 at every size.
    """
    if len(planes) != 3:
        return planes.copy()
    grey = np.tensordot(np.asarray(LUMA, np.float32), planes, axes=1)[None]
    corrupted: Planes = grey + (planes - grey) * np.float32(math.exp(strength))
    return corrupted


def _about_mean(planes: Planes, factor: float) -> Planes:
    mean = planes.mean(dtype=np.float64).astype(np.float32)
    corrupted: Planes = mean + (planes - mean) * np.float32(factor)
    return corrupted


def _power(planes: Planes, exponent: float) -> Planes:
    corrupted: Planes = np.power(planes, np.float32(exponent))
    return corrupted
