"""Loss of sharpness: lens (defocus, zoom), exposure (motion_blur), sampling (pixelate), JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_noise.image.planes import Planes

ZOOM_STEPS = 16
"""Exposures that stand for the continuous change of a zoom."""

# The example quantisation tables of ISO/IEC 10918-1, annex K, row by row: luminance, chrominance.
_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 "
    "62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 "
    "98 112 100 103 99"
)
_CHROMINANCE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 "
    "99" + " 99" * 32
)


def defocus(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """A lens out of focus: each point becomes a disc of even light.

    `strength` is the disc's radius as a fraction of the field of view (√(H·W)). The border is
    mirrored. Nothing is drawn from `rng`.
    """
    radius = strength * math.sqrt(planes.shape[1] * planes.shape[2])
    offsets = _offsets(radius)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    # Half a pixel of ramp at the disc's edge: fractional radii blur between whole ones.
    return _spread(planes, np.clip(radius + 0.5 - distance, 0.0, 1.0))


def motion_blur(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Camera or patient moved evenly during the exposure: each point becomes a line.

    `strength` is the line's length as a fraction of the field of view (√(H·W)), its direction is
    drawn. The border is mirrored.
    """
    half = 0.5 * strength * math.sqrt(planes.shape[1] * planes.shape[2])
    angle = rng.uniform(0.0, math.pi)
    at = np.linspace(-half, half, 4 * math.ceil(half) + 1)
    offsets = _offsets(half)
    # Each place on the line is shared between the pixels around it.
    down = np.clip(1.0 - np.abs(offsets[:, None] - at * math.sin(angle)), 0.0, None)
    across = np.clip(1.0 - np.abs(offsets[:, None] - at * math.cos(angle)), 0.0, None)
    return _spread(planes, down @ across.T)


def _offsets(reach: float) -> NDArray[np.int64]:
    most = math.ceil(reach + 0.5)
    return np.arange(-most, most + 1)


def _spread(planes: Planes, points: NDArray[np.float64]) -> Planes:
    """Every point spread over the odd square `points`, scaled to sum one; mirrored borders."""
    height, width = planes.shape[1:]
    reach = len(points) // 2
    offsets = np.arange(-reach, reach + 1)
    shape = (height + 2 * reach, width + 2 * reach)
    kernel = np.zeros(shape, np.float32)
    place = (offsets[:, None] % shape[0], offsets[None, :] % shape[1])
    np.add.at(kernel, place, points / points.sum())
    transfer = np.fft.rfft2(kernel)
    blurred = []
    for plane in planes:
        wide = np.pad(plane, reach, mode="symmetric")
        blurred.append(np.fft.irfft2(np.fft.rfft2(wide) * transfer, s=shape))
    inner = np.stack(blurred)[:, reach : reach + height, reach : reach + width]
    return inner.astype(np.float32)


def zoom(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """The focal length, or the distance to the patient, changes during the exposure: radial blur.

    `strength` is how much larger the picture is at the end than at the start, as a fraction; the
    exposure is the mean of the enlargements between. Nothing is drawn from `rng`.
    """
    height, width = planes.shape[1:]
    corrupted = np.zeros_like(planes)
    for channel, plane in enumerate(planes):
        picture = Image.fromarray(plane)
        for factor in np.linspace(1.0, 1.0 + strength, ZOOM_STEPS):
            inverse = 1.0 / float(factor)
            across, down = width / 2.0 * (1.0 - inverse), height / 2.0 * (1.0 - inverse)
            enlarged = picture.transform(
                (width, height),
                Image.Transform.AFFINE,
                (inverse, 0.0, across, 0.0, inverse, down),
                Image.Resampling.BILINEAR,
            )
            corrupted[channel] += np.asarray(enlarged, dtype=np.float32) / np.float32(ZOOM_STEPS)
    return corrupted


def pixelate(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Stored too small and blown up again: square blocks of one grey each.

    `strength` is the side of a block as a fraction of the field of view (√(H·W)); a block of one
    pixel or less changes nothing. Nothing is drawn from `rng`.
    """
    height, width = planes.shape[1:]
    side = max(1.0, strength * math.sqrt(height * width))
    small = (max(1, round(width / side)), max(1, round(height / side)))
    return np.stack(
        [
            np.asarray(
                Image.fromarray(plane)
                .resize(small, Image.Resampling.BOX)
                .resize((width, height), Image.Resampling.NEAREST),
                dtype=np.float32,
            )
            for plane in planes
        ]
    )


def jpeg(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Lossy compression: 8x8 blocks, ringing at edges, colours before greys.

    `strength` multiplies the standard's example quantisation tables (1 is the usual "quality 50",
    0.5 is 75, 5 is 10); a step stays within 1..255, as baseline JPEG has it. Nothing is drawn from
    `rng`.
    """
    stored = np.clip(np.rint(planes * np.float32(255.0)), 0.0, 255.0).astype(np.uint8)
    colour = len(planes) == 3
    picture = Image.fromarray(
        np.ascontiguousarray(np.moveaxis(stored, 0, -1)) if colour else stored[0]
    )
    tables = [_scaled(_LUMINANCE, strength), _scaled(_CHROMINANCE, strength)]
    held = io.BytesIO()
    picture.save(held, "JPEG", qtables=tables if colour else tables[:1], subsampling=0)
    with Image.open(held) as opened:
        read: NDArray[np.float32] = np.asarray(opened, dtype=np.float32) / np.float32(255.0)
    return np.ascontiguousarray(np.moveaxis(read, -1, 0)) if colour else read[None]


def _scaled(table: str, strength: float) -> list[int]:
    """The table times `strength`; the step of a block's mean, its first, a power of two."""
    steps = [min(255, max(1, round(int(step) * strength))) for step in table.split()]
    # Black is -1024 there: by a step that does not divide it, black would turn dark grey, more at
    # some strengths than at stronger ones.
    steps[0] = 1 << (steps[0].bit_length() - 1)
    return steps
