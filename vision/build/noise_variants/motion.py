"""A patient who moves while k-space is read: jitter, sudden and periodic shifts, rigid moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import amplitude, one_plane, reduced, squared_error

MEASURED = 48
"""Shorter side of the copy on which an extent of movement, a fraction of the view, is measured."""

FURTHEST = 0.2
"""Largest extent, as a fraction of the field of view."""

TOLERANCE = 1.5
"""Factor by which the squared error may miss the wanted one."""

EXPONENT = 0.7
"""An extent grows about with this power of its squared error."""

DEGREES = 120.0
"""Turn that goes with an extent of 1: 12 degrees with a shift of a tenth of the view."""


def motion(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Lines of k-space read from shifted, or turned and shifted, copies of the picture."""
    moved = _rigid(rng) if rng.random() < 0.35 else _shifted(rng)
    small = reduced(one_plane(planes), MEASURED)
    extent = amplitude(
        lambda a: squared_error(moved(small, a), small), target, 2e-4, FURTHEST, steps=6
    )
    read = moved(planes, extent)
    # the copy lacks the finest detail, which moves too: corrected once where that shows
    off = target / max(squared_error(read, planes), 1e-9)
    if 1.0 / TOLERANCE < off < TOLERANCE:
        return read
    return moved(planes, min(extent * off**EXPONENT, FURTHEST))


Moved = Callable[[Planes, float], Planes]
"""(planes, extent as a fraction of the view) -> planes as read; the path is drawn before."""


def _shifted(rng: np.random.Generator) -> Moved:
    """Shifts d(t), t in [0, 1) over the lines in the order of k: exp(-2πi k·d(t)) for each line.

    Measured from the place at the centre of k-space, so that the picture as a whole stays.
    """
    sort = int(rng.integers(3))
    axis, along = 1 + int(rng.integers(2)), float(rng.choice((0.0, 1.0, rng.random())))
    seed = int(rng.integers(1 << 32))

    def path(lines: int) -> NDArray[np.floating]:
        own = np.random.default_rng(seed)
        time = np.arange(lines) / lines
        if sort == 0:  # line by line; some lines alone
            steps = np.interp(time, np.linspace(0.0, 1.0, 256), own.standard_normal(256))
            chosen = np.interp(time, np.linspace(0.0, 1.0, 256), own.random(256))
            return np.asarray(steps * (chosen < own.uniform(0.2, 1.0)))
        if sort == 1:  # sudden moves at one to three times
            places = np.zeros(lines)
            for _ in range(int(own.integers(1, 4))):
                places[time >= own.random()] += own.normal()
            return places
        rate, phase = own.uniform(2.0, 25.0), own.uniform(0.0, 2.0 * np.pi)  # breathing
        return np.asarray(np.cos(2.0 * np.pi * rate * time + phase))

    def moved(planes: Planes, extent: float) -> Planes:
        turned = planes if axis == 1 else planes.transpose(0, 2, 1)
        lines, samples = turned.shape[1:]
        places = path(lines)
        places = places - places[lines // 2]
        places = np.fft.ifftshift(places) * extent * np.sqrt(lines * samples)
        across, down = along, 1.0 - along
        k_line, k_sample = np.fft.fftfreq(lines)[:, None], np.fft.fftfreq(samples)[None, :]
        angle = places[:, None] * (down * k_line + across * k_sample)
        phase = np.exp((-2j * np.pi * angle).astype(np.complex64))
        read = np.abs(np.fft.ifft2(np.fft.fft2(turned) * phase))
        back: Planes = read if axis == 1 else read.transpose(0, 2, 1)
        return back.astype(np.float32)

    return moved


def _rigid(rng: np.random.Generator) -> Moved:
    """One to four moves: each segment of lines between them comes from a turned, shifted copy.

    The segment that holds the centre of k-space is not moved.
    """
    axis, moves = 1 + int(rng.integers(2)), int(rng.integers(1, 5))
    times = np.sort(rng.random(moves))
    shifts = rng.normal(size=(moves + 1, 2)) * float(rng.uniform(0.2, 1.0))
    turns = rng.normal(size=moves + 1) * float(rng.uniform(0.2, 1.0))
    still = int(np.searchsorted(times, 0.5))

    def moved(planes: Planes, extent: float) -> Planes:
        lines = planes.shape[axis]
        ends = [0, *(int(time * lines) for time in times), lines]
        whole = np.fft.fftshift(np.fft.fft2(planes), axes=(1, 2))
        clean = whole.copy()
        for segment, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
            if segment == still or start == end:
                continue
            copy = _placed(planes, extent * DEGREES * turns[segment], extent * shifts[segment])
            read = np.fft.fftshift(np.fft.fft2(copy), axes=(1, 2))
            part = (slice(None), slice(start, end)) if axis == 1 else (..., slice(start, end))
            whole[part] = read[part]
        middle = [size // 2 for size in planes.shape[1:]]
        whole[:, middle[0], middle[1]] = clean[:, middle[0], middle[1]]  # the mean stays
        shown = np.abs(np.fft.ifft2(np.fft.ifftshift(whole, axes=(1, 2))))
        return shown.astype(np.float32)

    return moved


def _placed(planes: Planes, degrees: float, shift: NDArray[np.floating]) -> Planes:
    """`planes` turned about the centre and shifted by fractions of the view; black from outside."""
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.array(planes.shape[1:])
    centre = (size - 1) / 2.0
    offset = centre - matrix @ (centre + shift * np.sqrt(float(size.prod())))
    return np.stack(
        [ndimage.affine_transform(plane, matrix, offset, order=1) for plane in planes]
    ).astype(np.float32)
