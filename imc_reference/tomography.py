"""Parallel-beam CT: line integrals of ellipses, photon counting, filtered back-projection.

Source of the formulae: Kak & Slaney, *Principles of Computerized Tomographic Imaging*, ch. 3.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ellipse = tuple[float, float, float, float, float, float]
"""Centre x, centre y, semi-axes a and b, rotation (radians), density; the view is [-1, 1]²."""

ANGLES = 96
"""Views over 180 degrees: enough for a 112-pixel slice, few enough for a millisecond each."""

DETECTORS = 160
DETECTOR_HALF_WIDTH = 1.45
"""Detector covers the field of view's diagonal (√2) with a margin."""


def line_integrals(ellipses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact sinogram of a sum of ellipses.

    `ellipses` is (n, 6), rows as in `Ellipse`; the result is (ANGLES, DETECTORS), in units of
    density times half a field of view.
    """
    theta = np.arange(ANGLES) * np.pi / ANGLES
    t = np.linspace(-DETECTOR_HALF_WIDTH, DETECTOR_HALF_WIDTH, DETECTORS)
    x, y, a, b, phi, density = (ellipses[:, i, None] for i in range(6))
    s2 = (a * np.cos(theta - phi)) ** 2 + (b * np.sin(theta - phi)) ** 2
    centre = x * np.cos(theta) + y * np.sin(theta)
    offset2 = (t[None, None, :] - centre[:, :, None]) ** 2
    chord = np.sqrt(np.maximum(s2[:, :, None] - offset2, 0.0))
    return np.asarray(np.einsum("nad,na->ad", chord, 2.0 * density * a * b / s2))


@lru_cache(maxsize=4)
def _back_projector(size: int) -> sparse.csr_matrix:
    """Linear-interpolation back-projection as a (size², ANGLES · DETECTORS) sparse matrix."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    xx, yy = np.meshgrid(axis, axis)
    rows = np.arange(size * size)
    step = 2 * DETECTOR_HALF_WIDTH / (DETECTORS - 1)
    matrices = []
    for angle in np.arange(ANGLES) * np.pi / ANGLES:
        t = (xx * np.cos(angle) + yy * np.sin(angle)).ravel()
        position = (t + DETECTOR_HALF_WIDTH) / step
        low = np.clip(position.astype(np.int64), 0, DETECTORS - 2)
        weight = position - low
        matrices.append(
            sparse.csr_matrix(
                (
                    np.concatenate([1 - weight, weight]),
                    (np.concatenate([rows, rows]), np.concatenate([low, low + 1])),
                ),
                shape=(size * size, DETECTORS),
            )
        )
    return (sparse.hstack(matrices) * (np.pi / ANGLES)).astype(np.float32).tocsr()


@lru_cache(maxsize=1)
def _ramp() -> NDArray[np.float64]:
    """Band-limited ramp filter (Kak & Slaney eq. 61) in the Fourier domain, Hann-apodised."""
    step = 2 * DETECTOR_HALF_WIDTH / (DETECTORS - 1)
    length = 2 * DETECTORS
    index = np.arange(-DETECTORS, DETECTORS)
    kernel = np.zeros(length)
    kernel[DETECTORS] = 1 / (4 * step**2)
    odd = index % 2 != 0
    kernel[odd] = -1 / (np.pi * index[odd] * step) ** 2
    response = np.abs(np.fft.rfft(np.fft.ifftshift(kernel))) * step
    hann = 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, response.size))
    return np.asarray(response * hann)


def count_photons(
    sinogram: NDArray[np.float64], photons: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sinogram as measured with `photons` quanta per detector cell (Beer-Lambert, Poisson)."""
    counts = rng.poisson(photons * np.exp(-sinogram))
    return np.asarray(-np.log(np.maximum(counts, 1) / photons))


def reconstruct(sinogram: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Filtered back-projection of a (ANGLES, DETECTORS) sinogram to (size, size) densities."""
    padded = np.fft.rfft(sinogram, n=2 * DETECTORS, axis=1)
    filtered = np.fft.irfft(padded * _ramp(), n=2 * DETECTORS, axis=1)[:, :DETECTORS]
    image = _back_projector(size) @ filtered.astype(np.float32).ravel()
    return np.asarray(image, dtype=np.float64).reshape(size, size)
