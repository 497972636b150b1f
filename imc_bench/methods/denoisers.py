"""Image-space denoisers, as a user without knowledge of the noise would set them.

Each takes and returns (H, W, 3) uint8 pixels. Grey images are denoised in one plane. The settings
are the libraries' defaults or their documentation's advice, never tuned on our data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imc_bench.conditions import RunRefused

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Denoiser = Callable[[Pixels], Pixels]

WINDOW = 3  # pixels: the smallest window; the model's input has 112 of them
TV_WEIGHT = 0.1  # scikit-image's default, for intensities in 0..1
NLM_STRENGTH = 0.8  # of the noise's standard deviation: scikit-image's advice for the fast mode


def _by_plane(pixels: Pixels, denoise: Callable[[Floats], Floats]) -> Pixels:
    """Denoise each colour plane (H, W) in 0..1; a grey image's only once."""
    grey = bool((pixels == pixels[..., :1]).all())
    planes = [
        denoise(pixels[..., channel].astype(np.float64) / 255.0)
        for channel in range(1 if grey else 3)
    ]
    stacked = np.stack(planes * 3 if grey else planes, axis=-1)
    return np.clip(np.rint(stacked * 255.0), 0, 255).astype(np.uint8)


def _restoration() -> Any:
    try:
        from skimage import restoration
    except ImportError as error:
        raise RunRefused(
            "the image baselines need scikit-image: pip install 'imc-agents[bench]'"
        ) from error
    return restoration


def median(pixels: Pixels) -> Pixels:
    """The median of each pixel's 3 × 3 neighbourhood."""
    from scipy.ndimage import median_filter

    return _by_plane(pixels, lambda plane: np.asarray(median_filter(plane, size=WINDOW)))


def wiener(pixels: Pixels) -> Pixels:
    """The adaptive Wiener filter (Lim 1990), noise power estimated from the image itself.

    scipy's; scikit-image's `wiener` undoes a known blur and is another thing.
    """
    from scipy.signal import wiener as adaptive

    def plane_of(plane: Floats) -> Floats:
        padded = np.pad(plane, WINDOW // 2, mode="symmetric")  # scipy's own padding is black
        with np.errstate(divide="ignore", invalid="ignore"):  # flat windows have no variance
            filtered = np.asarray(adaptive(padded, mysize=WINDOW))
        inside = slice(WINDOW // 2, -(WINDOW // 2))
        filtered = filtered[inside, inside]
        return np.where(np.isfinite(filtered), filtered, plane)

    return _by_plane(pixels, plane_of)


def total_variation(pixels: Pixels) -> Pixels:
    """Total variation denoising (Chambolle 2004)."""
    tv = _restoration().denoise_tv_chambolle
    return _by_plane(pixels, lambda plane: np.asarray(tv(plane, weight=TV_WEIGHT)))


def non_local_means(pixels: Pixels) -> Pixels:
    """Non-local means (Buades 2005), strength from the noise estimated in the image."""
    nlm = _restoration().denoise_nl_means

    def plane_of(plane: Floats) -> Floats:
        sigma = noise_sigma(plane)
        if sigma == 0.0 or min(plane.shape) < 7:
            return plane
        return np.asarray(
            nlm(
                plane,
                patch_size=5,
                patch_distance=6,
                h=NLM_STRENGTH * sigma,
                sigma=sigma,
                fast_mode=True,
            )
        )

    return _by_plane(pixels, plane_of)


def noise_sigma(plane: Floats) -> float:
    """Standard deviation of white noise in a plane (H, W), by Immerkær's Laplacian mask (1996)."""
    from scipy.signal import convolve2d

    height, width = plane.shape
    if height < 3 or width < 3:
        return 0.0
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float64)
    response = np.abs(np.asarray(convolve2d(plane, mask, mode="valid"))).sum()
    return float(response * np.sqrt(np.pi / 2.0) / (6.0 * (width - 2) * (height - 2)))
