"""Smooth changes of signal: an uneven receive coil (bias_field), a poor exposure (low_contrast),
uneven light (shading)."""

from __future__ import annotations

import numpy as np

from imc_noise.image.planes import Planes

ORDER = 3
"""Highest order of the cosines in a bias field: smoother than any anatomy."""

COIL_REACH = (0.35, 0.8)
"""Reach of the receive coil, as a fraction of the field of view."""

BRIGHTEST = 0.1
"""Logarithm of the gain where the coil lies, against the mean loss elsewhere: a strong field is one
that falls off far, not one that saturates what is near."""

SHADING_MEAN = 0.3
"""Weight of a shading's mean: more, and it would mostly be a change of brightness."""

FOG = 0.03
"""Scattered light on the darkest pixel, as a share of the picture's mean. Small, because SSIM
judges black backgrounds by their level: a heavier fog would fill a band by itself and leave the
anatomy's contrast almost whole."""


def bias_field(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """An uneven receive coil: a smooth field multiplies the picture, darker away from the coil.

    `strength` is the mean fall-off from the brightest spot, as a natural logarithm; at that spot
    the gain is e^(0.1·strength). The field's logarithm is a coil's fall-off from a place near the
    border plus random low-order cosines. SSIM hardly sees a smooth factor, so its upper bands
    need fields that leave the far side almost black. Nothing lifts the mean back; where the coil
    lies, bright pixels may saturate, as they do in a scanner.
    """
    height, width = planes.shape[1:]
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(height)
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5)) / np.float32(width)
    place = rng.uniform(0.0, 1.0, size=2).tolist()
    # Pushed to the nearer border on one axis: coils lie on the body, not in it.
    side = int(rng.integers(2))
    place[side] = float(round(place[side]))
    reach = rng.uniform(*COIL_REACH)
    log_field = -(((y - place[0]) ** 2)[:, None] + ((x - place[1]) ** 2)[None, :]) / (
        2.0 * reach**2
    )
    orders = np.arange(ORDER + 1)
    weights = rng.normal(size=(ORDER + 1, ORDER + 1)) * (orders[:, None] + orders[None, :] <= ORDER)
    weights /= 1.0 + orders[:, None] + orders[None, :]
    log_field += (_cosines(y).T @ (0.5 * weights).astype(np.float32)) @ _cosines(x)
    log_field -= log_field.max()
    fall_off = -float(log_field.mean())
    if fall_off > 0.0:  # a picture of one pixel has no far side
        log_field /= fall_off
    field = np.exp(strength * (log_field + BRIGHTEST)).astype(np.float32)
    corrupted: Planes = planes * field
    return corrupted


def low_contrast(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """A poor exposure: less light reaches the detector, and scatter veils what does.

    `strength` is the natural logarithm of the loss. A random third to two thirds of it is contrast
    c = e^(−share·strength) lost to scatter, x → c·x + (1 − c)·fog with the fog a small part of
    the picture's mean; the rest is under-exposure, a plain factor. Grey levels that fall together
    in 8 bits are lost for good.
    """
    share = rng.uniform(1.0 / 3.0, 2.0 / 3.0)
    contrast = np.float32(np.exp(-share * strength))
    exposure = np.float32(np.exp(-(1.0 - share) * strength))
    fog = np.float32(FOG) * planes.mean(dtype=np.float64).astype(np.float32)
    corrupted: Planes = exposure * (contrast * planes + (np.float32(1.0) - contrast) * fog)
    return corrupted


def shading(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Uneven light or gain: a smooth field brightens one part of the picture, darkens another.

    `strength` is the root mean square of the field's logarithm, a random polynomial of third order
    in rows and columns about a small mean of its own; what is too bright saturates.
    """
    height, width = planes.shape[1:]
    down, across = (
        np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, size), ORDER)
        for size in (height, width)
    )
    orders = np.arange(ORDER + 1)
    weights = rng.normal(size=(ORDER + 1, ORDER + 1)) * (orders[:, None] + orders[None, :] <= ORDER)
    weights /= 1.0 + orders[:, None] + orders[None, :]
    weights[0, 0] *= SHADING_MEAN
    log_field = down @ weights @ across.T
    spread = float(np.sqrt(np.mean(log_field**2)))
    log_field *= strength / spread if spread > 0.0 else 0.0
    corrupted: Planes = planes * np.exp(log_field).astype(np.float32)[None]
    return corrupted


def _cosines(at: Planes) -> Planes:
    """(ORDER + 1, len(at)): the cosine basis on [0, 1]."""
    turns = np.arange(ORDER + 1, dtype=np.float32)[:, None] * at[None, :]
    basis: Planes = np.cos(np.float32(np.pi) * turns)
    return basis
