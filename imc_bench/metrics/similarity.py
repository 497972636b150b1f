"""How like its clean image a noisy one still is: SSIM, as the noises' severities were set by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_bench.conditions import RunRefused

Grey = NDArray[np.uint8]

WINDOW = 7
"""Pixels a side of SSIM's window: an image cannot be smaller."""


def grey_plane(rgb: NDArray[np.uint8]) -> Grey:
    """(H, W, 3) as (H, W): luma of ITU-R 601-2, which leaves equal channels as they are."""
    return np.asarray(Image.fromarray(rgb).convert("L"))


def ssim(clean: Grey, corrupted: Grey) -> float:
    """Structural similarity of two grey images (H, W): 1 for equal ones.

    scikit-image's `structural_similarity` with its defaults (7 × 7 uniform window), data range 255;
    nothing is renormalised before it is taken. Wang et al., Image quality assessment, 2004.

    Raises:
        RunRefused: an image smaller than the window, or scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise RunRefused("SSIM needs scikit-image: pip install 'imc-agents[bench]'") from error

    if min(clean.shape) < WINDOW:
        height, width = clean.shape
        raise RunRefused(
            f"an image of {width} × {height} pixels is smaller than SSIM's window of {WINDOW}; "
            "give a larger one"
        )
    return float(structural_similarity(clean, corrupted, data_range=255))
