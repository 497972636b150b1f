"""A plug-in: a noise of one's own, and a method for `imc bench` that cleans it off.

    imc ask --plugin examples/dust.py --noise dust:3 examples/phantom_ct.png "Is there a lesion?"
    imc bench run --plugin examples/dust.py --noises dust --methods none,swept \\
        --dataset phantom --limit 40 --out dust.db
    imc prototypes acquisition --plugin examples/dust.py --kinds dust --images ORIGINS \\
        --out half.safetensors

The file is run once by every process; what it registers may then be named.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from imc_bench import Denoised, register
from imc_noise import register_noise


def put_dust(rgb: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White specks on a share of the pixels (H, W, 3)."""
    return np.where(rng.random(rgb.shape[:2])[..., None] < share, np.uint8(255), rgb)


def sweep(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A median over 3 x 3 pixels, plane by plane."""
    return np.asarray(median_filter(rgb, size=(3, 3, 1)))


register_noise(
    "dust", put_dust, meaning="Dust on the detector.", strengths=(0.02, 0.04, 0.06, 0.08, 0.10)
)
# a method that does more than filter pixels is a subclass of `imc_bench.methods.BaselineMethod`
register(Denoised("swept", sweep))
