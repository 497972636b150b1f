"""Smooth multiplicative fields: polynomials, coils, ramps, vignettes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imc_noise.image.planes import Planes
from vision.build.noise_variants.matching import amplitude, sampled, squared_error

STRONGEST = 3.0
"""Largest logarithm of a gain: e^-3, 5 % of the signal, is left at the darkest place."""

Grid = NDArray[np.float32]
Shape = Callable[[Grid, Grid, np.random.Generator], NDArray[np.floating]]
"""(rows (H, 1), columns (1, W), both in [-1, 1]; generator) -> a smooth (H, W)."""


def bias_field(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """A field that is not uniform, by a polynomial, a sum of coils or a ramp.

    The strongest place keeps its brightness, or the mean does, or (as several makers leave it)
    nothing is normalised.
    """
    shape = (_polynomial, _polynomial, _coils, _ramp)[int(rng.integers(4))]
    return _multiplied(planes, shape, int(rng.integers(3)), target, rng)


def shading(planes: Planes, target: float, rng: np.random.Generator) -> Planes:
    """Uneven light about its mean: a polynomial, a ramp, a vignette or bright spots."""
    shape = (_polynomial, _ramp, _vignette, _coils)[int(rng.integers(4))]
    return _multiplied(planes, shape, 1, target, rng)


def _multiplied(
    planes: Planes, shape: Shape, normalised: int, target: float, rng: np.random.Generator
) -> Planes:
    """`planes` times e^(a·field), or times 1 + a·field cut above .05, at the wanted error."""
    height, width = planes.shape[1:]
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    field = np.broadcast_to(shape(rows, columns, rng), (height, width)).astype(np.float32)
    field = field - (field.max(), field.mean(), np.float32(0.0))[normalised]
    size = float(np.abs(field).max())
    if size <= 0.0:  # one pixel: no field
        return planes.copy()
    field = field / np.float32(size)
    linear = bool(rng.random() < 0.25)

    def change(grey: Planes, part: Grid, scale: float) -> Planes:
        log_gain = np.float32(scale) * part
        gain = np.maximum(1.0 + log_gain, 0.05) if linear else np.exp(log_gain)
        changed: Planes = grey * gain
        return changed

    clean, part = sampled(planes), sampled(field)
    found = amplitude(
        lambda a: squared_error(change(clean, part, a), clean),
        target,
        0.01,
        STRONGEST,
    )
    return change(planes, field, found)


def _polynomial(rows: Grid, columns: Grid, rng: np.random.Generator) -> NDArray[np.floating]:
    """Degree two to four, in powers or in Legendre polynomials, every coefficient alike."""
    degree = int(rng.integers(2, 5))
    basis = (
        np.polynomial.polynomial.polyvander,
        np.polynomial.legendre.legvander,
    )[int(rng.integers(2))]
    orders = np.arange(degree + 1)
    # of one sign in half of the draws, as where a maker draws coefficients from a positive range
    low = 0.0 if rng.random() < 0.5 else -1.0
    weights = rng.uniform(low, 1.0, size=(degree + 1, degree + 1))
    weights *= orders[:, None] + orders[None, :] <= degree
    found: NDArray[np.floating] = basis(rows[:, 0], degree) @ weights @ basis(columns[0], degree).T
    return found


def _coils(rows: Grid, columns: Grid, rng: np.random.Generator) -> NDArray[np.floating]:
    """Logarithm of the sum of one to four coils' sensitivities."""
    total = np.full((rows.shape[0], columns.shape[1]), 0.05, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        place, reach = rng.uniform(-1.3, 1.3, size=2), float(rng.uniform(0.4, 1.4))
        distance = (rows - np.float32(place[0])) ** 2 + (columns - np.float32(place[1])) ** 2
        total += np.exp(-distance / np.float32(2.0 * reach**2)).astype(np.float32)
    return np.log(total)


def _ramp(rows: Grid, columns: Grid, rng: np.random.Generator) -> NDArray[np.floating]:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return np.float32(np.sin(angle)) * rows + np.float32(np.cos(angle)) * columns


def _vignette(rows: Grid, columns: Grid, rng: np.random.Generator) -> NDArray[np.floating]:
    place, power = rng.uniform(-0.3, 0.3, size=2), rng.uniform(1.5, 4.0)
    distance = np.hypot(rows - np.float32(place[0]), columns - np.float32(place[1]))
    sign = 1.0 if rng.random() < 0.2 else -1.0
    found: NDArray[np.floating] = sign * distance ** np.float32(power)
    return found
