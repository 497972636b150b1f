"""A plug-in for `imc bench`: a noise of one's own, and a method that cleans it off.

    imc bench run --plugin examples/dust.py --noises dust --methods none,swept \\
        --data-set phantom --limit 40 --out dust.db

The file is run by every process of the run; what it registers may then be named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from imc_bench.methods import Seen, Tools, Untouched, encode, register
from imc_bench.noises import register_noise
from imc_noise import Noise
from vision.reading import MedicalImage


def put_dust(
    rgb: NDArray[np.uint8], severity: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """White specks on pixels (H, W, 3): 2 % of them for each step of severity."""
    rgb[rng.random(rgb.shape[:2]) < 0.02 * severity] = 255
    return rgb


class Swept(Untouched):
    """Shows the model each image after a median over 3 x 3 pixels."""

    name = sight = "swept"

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """The plain features of the swept images."""
        swept = [
            MedicalImage.from_rgb(median_filter(image.rgb, size=(3, 3, 1))) for image in images
        ]
        return encode(swept, tools, calibrate=False)


register_noise(Noise("dust", "image", "Dust on the detector.", recoverable=True), put_dust)
register(Swept())
