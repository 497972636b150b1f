"""A plug-in for `imc bench`: a noise of one's own, and a method that cleans it off.

    imc bench run --plugin examples/dust.py --noises dust --methods none,swept \\
        --data-set phantom --limit 40 --out dust.db

The file is run by every process of the run; what it registers may then be named.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from imc_bench.methods import Denoised, register
from imc_bench.noises import register_noise
from imc_noise import Noise


def put_dust(
    rgb: NDArray[np.uint8], severity: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """White specks on pixels (H, W, 3): 2 % of them for each step of severity."""
    rgb[rng.random(rgb.shape[:2]) < 0.02 * severity] = 255
    return rgb


def sweep(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A median over 3 x 3 pixels, plane by plane."""
    return np.asarray(median_filter(rgb, size=(3, 3, 1)))


register_noise(Noise("dust", "image", "Dust on the detector.", recoverable=True), put_dust)
# a method that does more than filter pixels is a subclass of `imc_bench.methods.BaselineMethod`
register(Denoised("swept", sweep))
