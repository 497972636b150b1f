"""One way to bring pixels to a size: bicubic, as processors do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.reading.medical_image import MedicalImage


def resize_rgb(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) pixels brought to (height, width); the same array where they have that size."""
    if rgb.shape[:2] == size:
        return rgb
    height, width = size
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def at_size(image: MedicalImage, size: tuple[int, int]) -> MedicalImage:
    """`image` resized to (height, width) pixels; the same object where it has that size."""
    if (image.height, image.width) == size:
        return image
    return MedicalImage.from_rgb(resize_rgb(image.rgb, size), image.source_format)
