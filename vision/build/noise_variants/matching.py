"""The amplitude at which a change of a picture has a wanted mean squared error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imc_noise.image.planes import Planes

Variant = Callable[[Planes, float, np.random.Generator], Planes]
"""(planes, wanted mean squared error, generator) -> planes of the same shape."""

Residual = NDArray[np.inexact[Any]]
"""Single precision, real or complex."""

Scalar = TypeVar("Scalar", bound=np.generic)

SAMPLE = 4096
"""Pixels of a picture on which a change that acts pixel by pixel is measured."""

BISECTIONS = 9
"""Halvings of a logarithmic range: 1 % of an amplitude for a range of a factor of 150."""


def squared_error(changed: Planes, clean: Planes) -> float:
    """Mean squared difference after clipping to [0, 1], as stored pixels have it."""
    return float(np.mean((np.clip(changed, 0.0, 1.0) - clean) ** 2))


def amplitude(
    error: Callable[[float], float], target: float, low: float, high: float, steps: int = BISECTIONS
) -> float:
    """Where `error`, which grows with its argument, is `target`: between `low` and `high` > 0.

    Bisection of the logarithm; the nearer end where `target` lies outside.
    """
    below, above = math.log(low), math.log(high)
    for _ in range(steps):
        middle = (below + above) / 2.0
        if error(math.exp(middle)) < target:
            below = middle
        else:
            above = middle
    return math.exp((below + above) / 2.0)


def sampled(field: NDArray[Scalar]) -> NDArray[Scalar]:
    """(..., n) of a field (..., H, W): about `SAMPLE` of its pixels, at the same places in all.

    Regularly spaced, by an odd step, so that neither columns nor a comb of lines are met alone.
    """
    pixels = field.shape[-2] * field.shape[-1]
    step = max(1, pixels // SAMPLE) | 1
    return field.reshape(*field.shape[:-2], pixels)[..., ::step]


def add_residual(
    planes: Planes,
    residual: Residual,
    target: float,
    high: float = 1e3,
) -> Planes:
    """|planes + a·residual| with the amplitude a ≤ `high` that the wanted error needs.

    `residual` is real, (C or 1, H, W), and is added; or complex, and the magnitude is returned.
    """

    def changed(base: Planes, added: Residual, scale: float) -> Planes:
        whole = base + np.float32(scale) * added
        return np.asarray(np.abs(whole) if np.iscomplexobj(whole) else whole, dtype=np.float32)

    clean, part = sampled(planes), sampled(residual)
    power = float(np.mean(np.abs(part) ** 2))
    if power <= 0.0:
        return planes.copy()
    about = math.sqrt(target / power)
    scale = amplitude(
        lambda a: squared_error(changed(clean, part, a), clean), target, about / 2.0, about * 8.0
    )
    return changed(planes, residual, min(scale, high))


def pointwise(
    planes: Planes,
    change: Callable[[Planes, float], Planes],
    target: float,
    low: float,
    high: float,
) -> Planes:
    """`change(planes, a)`, a change grey level by grey level, at the a of the wanted error."""
    clean = sampled(planes)
    found = amplitude(lambda a: squared_error(change(clean, a), clean), target, low, high)
    return change(planes, found)


def reduced(planes: Planes, side: int) -> Planes:
    """(C, h, w): `planes` averaged over whole blocks to a shorter side of `side` or a little more.

    For measuring a change whose extent is a fraction of the field of view.
    """
    block = min(planes.shape[1], planes.shape[2]) // side
    if block < 2:
        return planes
    rows, columns = planes.shape[1] // block, planes.shape[2] // block
    cut = planes[:, : rows * block, : columns * block]
    blocks = cut.reshape(len(planes), rows, block, columns, block)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def one_plane(planes: Planes) -> Planes:
    """(1, H, W): the mean of the planes, for measuring what acts on all of them alike."""
    return np.asarray(planes.mean(axis=0, keepdims=True), dtype=np.float32)
