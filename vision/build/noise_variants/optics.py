"""Blur by lenses and movement, blocks, lossy files."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import special

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import amplitude, one_plane, reduced, squared_error

Response = Callable[[NDArray[np.floating]], NDArray[np.floating]]
"""Frequency times extent -> factor, 1 at 0."""

BINS = 256
"""Bins of frequencies from 0 to half a cycle a pixel (as many again up to the corner)."""

MEASURED = 48
"""Shorter side of the copy on which an extent that is a fraction of the view is measured."""

EDGES = ("edge", "edge", "reflect", "reflect", "constant")
"""What is beyond the border: its pixel again, the mirrored picture, or (least often) black."""


def defocus(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Points are normal bells (half of the draws), discs or squares."""
    padded, margin = _padded(planes, rng)
    down, across = _frequencies(padded)
    sort = int(rng.integers(4))
    response: NDArray[np.floating]
    if sort == 3:
        # a square: the product of two sincs; its extent is found as for the circle of its area
        disc = _extent(padded, target, np.hypot(down, across), _disc)
        response = np.sinc(down * disc * 0.89) * np.sinc(across * disc * 0.89)
    else:
        shape = (_bell, _bell, _disc)[sort]
        radius = np.hypot(down, across)
        response = shape(radius * _extent(padded, target, radius, shape))
    return _filtered(padded, response, margin)


def motion_blur(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Points are lines of any direction (along an axis in half of the draws), even or fading."""
    padded, margin = _padded(planes, rng)
    down, across = _frequencies(padded)
    quarter = math.pi / 2.0
    angle = quarter * int(rng.integers(2)) if rng.random() < 0.5 else float(rng.uniform(0, math.pi))
    along = down * math.sin(angle) + across * math.cos(angle)
    shape = np.sinc if rng.random() < 0.7 else _bell
    return _filtered(padded, shape(along * _extent(padded, target, along, shape)), margin)


def zoom(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Radial blur about a place near the centre, in or out, with a turn at times."""
    place, turned = rng.uniform(0.35, 0.65, size=2), float(rng.normal()) * (rng.random() < 0.3)
    inwards, steps = rng.random() < 0.7, int(rng.integers(5, 12))

    def exposed(picture: Planes, extent: float) -> Planes:
        height, width = picture.shape[1:]
        centre = place * (width, height)
        total = np.zeros_like(picture)
        for channel, plane in enumerate(picture):
            whole = Image.fromarray(plane)
            for time in np.linspace(0.0, 1.0, steps):
                factor = (1.0 + extent * time) ** (-1.0 if inwards else 1.0)
                cosine, sine = (
                    factor * part(turned * extent * time) for part in (math.cos, math.sin)
                )
                matrix = np.array([[cosine, -sine], [sine, cosine]])
                start = centre - matrix @ centre
                affine = (cosine, -sine, start[0], sine, cosine, start[1])
                moved = whole.transform(
                    (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
                )
                total[channel] += np.asarray(moved) / np.float32(steps)
        return total

    small = reduced(one_plane(planes), MEASURED)
    extent = amplitude(
        lambda a: squared_error(exposed(small, a), small), target, 0.004, 0.5, steps=5
    )
    blurred = exposed(planes, extent)
    # the copy holds less of the finest detail: a part of the exposure was still where that shows
    error = squared_error(blurred, planes)
    moving = np.float32(min(math.sqrt(target / error), 1.0) if error > 0.0 else 1.0)
    shown: Planes = planes + moving * (blurred - planes)
    return shown


def pixelate(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Stored small and enlarged, by any pair of resampling filters, axes not quite alike."""
    filters = Image.Resampling
    down = (filters.BOX, filters.NEAREST, filters.BILINEAR)[int(rng.integers(3))]
    up = (filters.NEAREST, filters.NEAREST, filters.BILINEAR, filters.BICUBIC)[int(rng.integers(4))]
    stretch = float(np.exp(rng.uniform(-0.2, 0.2)))

    def stored(picture: Planes, side: float) -> Planes:
        height, width = picture.shape[1:]
        small = (max(round(width / side / stretch), 1), max(round(height / side * stretch), 1))
        return np.stack(
            [
                np.asarray(Image.fromarray(p).resize(small, down).resize((width, height), up))
                for p in picture
            ]
        )

    grey = one_plane(planes)
    side = amplitude(lambda a: squared_error(stored(grey, a), grey), target, 1.05, 16.0, steps=5)
    return stored(planes, side)


def jpeg(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Lossy files of quality 67 to 5: colours halved, the block grid elsewhere, stored twice."""
    subsampling, twice = int(rng.integers(3)), bool(rng.random() < 0.2)
    corner = rng.integers(8, size=2) if rng.random() < 0.4 else np.zeros(2, np.int64)

    def stored(picture: Planes, coarseness: float) -> Planes:
        levels = np.clip(np.rint(picture * np.float32(255.0)), 0, 255).astype(np.uint8)
        padded = np.pad(levels, ((0, 0), (corner[0], 0), (corner[1], 0)), mode="edge")
        for _ in range(1 + twice):
            padded = _through_jpeg(padded, max(round(100.0 / coarseness), 2), subsampling)
        kept = padded[:, corner[0] :, corner[1] :]
        return kept.astype(np.float32) / np.float32(255.0)

    grey = one_plane(planes)
    coarseness = amplitude(
        lambda a: squared_error(stored(grey, a), grey), target, 1.5, 20.0, steps=4
    )
    return stored(planes, coarseness)


def _through_jpeg(levels: NDArray[np.uint8], quality: int, subsampling: int) -> NDArray[np.uint8]:
    """(C, H, W) of one or three planes, encoded and decoded."""
    colour = len(levels) == 3
    picture = Image.fromarray(
        np.ascontiguousarray(np.moveaxis(levels, 0, -1)) if colour else levels[0]
    )
    held = io.BytesIO()
    options = {"subsampling": subsampling} if colour else {}
    picture.save(held, "JPEG", quality=quality, **options)
    with Image.open(held) as opened:
        read = np.asarray(opened)
    return np.ascontiguousarray(np.moveaxis(read, -1, 0)) if colour else read[None]


def _padded(planes: Planes, rng: np.random.Generator) -> tuple[Planes, int]:
    margin = max(min(planes.shape[1:]) // 8, 1) if min(planes.shape[1:]) > 1 else 0
    mode = EDGES[int(rng.integers(len(EDGES)))]
    return np.pad(planes, ((0, 0), (margin, margin), (margin, margin)), mode=mode), margin  # type: ignore[call-overload]


def _frequencies(planes: Planes) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    return np.fft.fftfreq(planes.shape[1])[:, None], np.fft.rfftfreq(planes.shape[2])[None, :]


def _bell(turns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Transfer of a normal bell whose standard deviation is the extent."""
    return np.asarray(np.exp(-2.0 * math.pi**2 * turns**2))


def _disc(turns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Transfer of an even disc whose diameter is the extent."""
    at = np.maximum(math.pi * np.abs(turns), 1e-6)
    found: NDArray[np.floating] = 2.0 * special.j1(at) / at
    return found


def _extent(
    padded: Planes, target: float, coordinate: NDArray[np.floating], response: Response
) -> float:
    """Extent in pixels at which filtering by response(extent·coordinate) has the wanted error.

    By Parseval, over bins of the spectrum's energy; `coordinate` (H, W // 2 + 1) in cycles a pixel.
    """
    height, width = padded.shape[1:]
    power = np.sum(np.abs(np.fft.rfft2(padded)) ** 2, axis=0)
    power[:, 1 : (width + 1) // 2] *= 2.0  # the half that rfft2 does not hold
    bins = np.minimum(np.abs(coordinate) * 2.0 * BINS, 2 * BINS - 1).astype(np.int64)
    bins = np.broadcast_to(bins, power.shape)
    # the margin, 1.56 times the picture with it, holds none to all of the error: take between
    pixels = padded.size / 1.25
    energy = np.bincount(bins.ravel(), power.ravel(), 2 * BINS) / (height * width * pixels)
    middle = (np.arange(2 * BINS) + 0.5) / (2.0 * BINS)
    middle[0] = 0.0
    return amplitude(
        lambda a: float(np.sum(energy * (1.0 - response(a * middle)) ** 2)),
        target,
        0.05,
        0.5 * min(height, width),
    )


def _filtered(padded: Planes, response: NDArray[np.floating], margin: int) -> Planes:
    filtered = np.fft.irfft2(np.fft.rfft2(padded) * response, s=padded.shape[1:])
    inner = slice(margin, -margin) if margin else slice(None)
    return filtered[:, inner, inner].astype(np.float32)
