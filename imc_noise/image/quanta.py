"""Noise of the detector: electronic (gaussian) and of the quanta it counts (low_dose)."""

from __future__ import annotations

import numpy as np

from imc_noise.image.planes import Planes

ATTENUATION = 3.0
"""Line integral that a white pixel stands for: e^-3, 5 % of the photons, come through a dense
region, as through the spine in a frontal radiograph."""

WHITE_SHARE = 0.5
"""Share of the noise power that is white (radiograph, pixel by pixel); the rest has the spectrum
that filtered back-projection gives to CT noise."""

STREAK = 6.0
"""Path attenuation across a wholly white field of view, for how unlike the two axes' noise is."""

ROWS_AT_ONCE = 1 << 20
"""Pixels of Poisson draws held at once (64-bit counts), so that 8000-pixel images fit."""


def gaussian(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Electronic noise of the read-out: white, additive, the same everywhere.

    `strength` is the standard deviation as a fraction of full scale.
    """
    return planes + np.float32(strength) * rng.standard_normal(planes.shape, dtype=np.float32)


def low_dose(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Too few X-ray quanta: Poisson counts behind the patient, most visible in dense regions.

    `strength` is 1/√N₀ with N₀ the photons per pixel in air. A pixel of grey g lets
    N ~ Poisson(N₀·e^(−μg)) through (Beer-Lambert, μ = `ATTENUATION`) and is read back as
    g' = −ln(N/N₀)/μ, so bone is noisier than lung and starved pixels (N = 0) turn bright. The
    residual g' − g then gets, with its power kept, the correlated spectrum of a reconstructed
    slice: half white, half the ramp of filtered back-projection under a Hann window, stronger
    along the axis whose rays cross more tissue (shoulder streaks). The correlation is a model in
    the image's Fourier plane, not a simulated scan: an image holds no sinogram to start from.
    """
    photons = strength**-2
    residual = np.empty_like(planes)
    flat, out = planes.reshape(-1), residual.reshape(-1)
    for start in range(0, flat.size, ROWS_AT_ONCE):
        grey = flat[start : start + ROWS_AT_ONCE]
        counts = rng.poisson(photons * np.exp(-ATTENUATION * grey)).astype(np.float32)
        # Half a count stands for none: the logarithm of a starved pixel stays finite.
        read = np.log(np.maximum(counts, 0.5) / photons) / -ATTENUATION
        out[start : start + ROWS_AT_ONCE] = read - grey
    return np.stack(
        [
            plane + _as_reconstructed(noise, plane)
            for plane, noise in zip(planes, residual, strict=True)
        ]
    )


def _as_reconstructed(noise: Planes, plane: Planes) -> Planes:
    """`noise` (H, W) with the spectrum of a reconstructed slice, its power kept."""
    height, width = noise.shape
    fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
    squared = fx**2 + fy**2
    radius = np.sqrt(squared)
    # Rays along a row are summed into the profile over y, whose spectrum lies on the fy axis.
    along_rows = np.mean(np.exp(STREAK * plane.mean(axis=1)))
    along_columns = np.mean(np.exp(STREAK * plane.mean(axis=0)))
    total = along_rows + along_columns
    tissue = 2.0 * (fy**2 * (along_rows / total) + fx**2 * (along_columns / total))
    tissue /= np.maximum(squared, np.float32(1e-12))
    power = tissue * radius * (0.5 + 0.5 * np.cos(np.pi * np.minimum(2.0 * radius, 1.0)))
    mean = float(power.mean())
    if mean <= 0.0:  # an image of one or two pixels has no band to shape
        return noise
    shape = np.sqrt(WHITE_SHARE + (1.0 - WHITE_SHARE) * power / mean).astype(np.float32)
    return np.fft.irfft2(np.fft.rfft2(noise) * shape, s=noise.shape).astype(np.float32)
