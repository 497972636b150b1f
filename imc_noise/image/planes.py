"""From stored pixels to the planes a noise acts on, and back, with nothing renormalised."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]
"""(channels, H, W), black 0 to white 1; one channel for a grey image, three for a colour one."""

ImageCorruption = Callable[[Planes, float, np.random.Generator], Planes]
"""A noise: planes, strength in the noise's own unit, generator -> planes of the same shape."""

GREY_SPREAD = 2.0
"""Grey levels between a pixel's channels, on average, up to which an RGB image counts as grey:
more than JPEG's rounding of a grey picture, less than the faintest stain."""


def corrupt_pixels(
    image: Pixels, strength: float, corrupt: ImageCorruption, rng: np.random.Generator
) -> Pixels:
    """`image` (H, W) or (H, W, 3), uint8, corrupted by one noise: same shape, uint8, a new array.

    A grey picture stored as RGB has one detector behind it, so one plane (its mean) is corrupted;
    what little colour it has (a marker, JPEG rounding) is put back: equal channels stay equal.
    A colour picture is corrupted plane by plane, with one geometry and field for all three and
    quanta of its own in each.

    Raises:
        ValueError: `image` is not such an array.
    """
    check_pixels(image)
    if image.ndim == 2:
        return _to_pixels(corrupt(_to_planes(image[None]), strength, rng)[0])
    stored = np.moveaxis(image, -1, 0)
    if (stored[0] == stored[1]).all() and (stored[0] == stored[2]).all():
        corrupted = _to_pixels(corrupt(_to_planes(stored[:1]), strength, rng)[0])
        return np.repeat(corrupted[:, :, None], 3, axis=2)
    planes = _to_planes(stored)
    if float(np.mean(planes.max(axis=0) - planes.min(axis=0))) * 255.0 <= GREY_SPREAD:
        grey = planes.mean(axis=0, keepdims=True)
        planes = corrupt(grey, strength, rng) + (planes - grey)
    else:
        planes = corrupt(planes, strength, rng)
    return np.ascontiguousarray(np.moveaxis(_to_pixels(planes), 0, -1))


def check_pixels(image: NDArray[np.uint8]) -> None:
    """Refuse what is not a picture.

    Raises:
        ValueError: `image` is not uint8, or not (H, W) or (H, W, 3), or has no pixels.
    """
    shape = image.shape
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if image.dtype != np.uint8 or image.size == 0 or not is_picture:
        raise ValueError(
            f"image noise takes uint8 pixels of shape (H, W) or (H, W, 3), got {image.dtype} "
            f"{shape}; convert the image first (vision.reading.medical_image.read_image does)"
        )


def _to_planes(stored: Pixels) -> Planes:
    planes: Planes = stored.astype(np.float32, order="C")
    planes /= np.float32(255.0)
    return planes


def _to_pixels(planes: Planes) -> Pixels:
    levels: Planes = np.rint(planes * np.float32(255.0))
    return np.clip(levels, 0.0, 255.0).astype(np.uint8)
