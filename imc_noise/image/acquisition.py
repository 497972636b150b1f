"""Artefacts of MR and CT acquisition: Rician noise, spikes, missing lines, missing views."""

from __future__ import annotations

import math

import numpy as np

from imc_noise.image.planes import Planes

SPIKES = 3
SPIKE_BAND = (0.04, 0.30)
"""Spatial frequencies of spikes, in cycles a pixel: stripes of 3 to 25 pixels."""

CENTRE = 0.04
"""Share of the k-space lines around the centre that an accelerated scan always reads."""

DENSITY = 1.5
"""Line k is (1 + |k|/c)^1.5 times likelier to be left out than one at the centre's edge c."""


def rician(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Thermal noise of an MR receiver in both channels: √((x + n₁)² + n₂²), with a grey floor.

    `strength` is the standard deviation in each channel as a fraction of full scale.
    """
    sigma = np.float32(strength)
    real = planes + sigma * rng.standard_normal(planes.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(planes.shape, dtype=np.float32)
    magnitude: Planes = np.hypot(real, imaginary)
    return magnitude


def kspace_spike(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Electric discharges while k-space is read: stray points there, stripes (herringbone) here.

    `strength` is the root-mean-square amplitude of the stripes as a fraction of full scale. A point
    at k adds a·e^(2πi k·r + iφ); the scanner shows the magnitude. Colour planes share the stripes.
    """
    height, width = planes.shape[1:]
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    weights = rng.uniform(0.4, 1.0, size=SPIKES)
    weights /= math.sqrt(float(np.sum(weights**2)))
    stripes = np.zeros((height, width), np.complex64)
    for weight in weights:
        angle, phase = rng.uniform(0.0, 2.0 * math.pi, size=2)
        frequency = rng.uniform(*SPIKE_BAND)
        down = np.exp(2j * math.pi * frequency * math.sin(angle) * y)
        across = np.exp(2j * math.pi * frequency * math.cos(angle) * x + 1j * phase)
        stripes += (weight * down).astype(np.complex64) * across.astype(np.complex64)
    return np.abs(planes + np.float32(strength) * stripes[None]).astype(np.float32)


def undersampling(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """An accelerated MR scan with nothing put in for the lines it left out: smear and ripple.

    `strength` s leaves out 1 − e^(−s) of the lines outside the central 4 %, the far ones sooner;
    they are filled with zeros and the magnitude is shown. Under one generator state a stronger
    draw leaves out what a weaker one does, and more. Colour planes share the lines.
    """
    axis = 1 + int(rng.integers(2))
    lines = planes.shape[axis]
    distance = np.abs(np.fft.fftfreq(lines, d=1.0 / lines))
    kept = max(1.0, CENTRE * lines / 2.0)
    # Smallest exponential first: weighted draws without replacement (Efraimidis-Spirakis).
    order = np.argsort(rng.exponential(size=lines) / (1.0 + distance / kept) ** DENSITY)
    order = order[distance[order] > kept]
    lost = -math.expm1(-strength) * len(order)
    factor = np.ones(lines, np.float32)
    # The line at the limit is weakened by the fraction: severities between whole ones differ.
    factor[order] = np.clip(np.arange(1, len(order) + 1) - lost, 0.0, 1.0)
    factor = factor[:, None] if axis == 1 else factor[None, :]
    return np.stack(
        [np.abs(np.fft.ifft(np.fft.fft(p, axis=axis - 1) * factor, axis=axis - 1)) for p in planes]
    ).astype(np.float32)


def sparse_view(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """A CT slice reconstructed from too few views: streaks across the field.

    `strength` s takes π·√(H·W)/s views at even angles, from a random first one; s = 1 samples all
    up to half a cycle a pixel. By the central slice theorem, filtered back-projection of n views
    keeps of the picture's spectrum the n lines through the origin, each weighted by the gap to the
    next (|k|·π/n), and all of it where the gap is under one bin. Computed so, on a field twice as
    large (streaks leave the picture, they do not come back), not by projecting; rays parallel, no
    window.
    """
    height, width = planes.shape[1:]
    views = max(2, round(math.pi * math.sqrt(height * width) / max(strength, 0.5)))
    down = np.fft.fftfreq(2 * height).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(2 * width).astype(np.float32)[None, :]
    # In bins of the shorter axis: the longer axis' finer bins never fall between two lines.
    bins = np.float32(2 * min(height, width))
    radius = np.hypot(down, across) * bins
    turn = np.arctan2(down, across) * np.float32(views / math.pi) + np.float32(rng.random())
    gap = radius * np.float32(math.pi / views)
    near = np.abs(turn - np.rint(turn)) * gap
    lines = np.maximum(1.0 - near, 0.0) + np.maximum(1.0 - (gap - near), 0.0)
    response = np.where(gap > 1.0, gap * lines, np.float32(1.0)).astype(np.float32)
    corrupted = np.empty_like(planes)
    for channel, plane in enumerate(planes):
        spectrum = np.fft.rfft2(plane, s=(2 * height, 2 * width))
        whole = np.fft.irfft2(spectrum * response, s=(2 * height, 2 * width))
        corrupted[channel] = whole[:height, :width]
    return corrupted
