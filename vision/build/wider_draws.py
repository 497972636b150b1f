"""Noisy draws as many makers produce them, for fits that hold on makers they have not met.

Half of the draws are `imc_noise`'s own. The others are variants of the same kind (a bias field that
is a polynomial, motion that is a composite of turned copies, grain that is correlated) at about the
squared error that the own draw has on this picture, so that a severity means the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from imc_noise import UnknownSeverity, apply_image
from imc_noise.image.planes import corrupt_pixels
from vision.build.noise_variants import fields, grain, kspace, motion, optics, tone
from vision.build.noise_variants.matching import Variant

STRONGEST, ABOVE = 5.0, 6.0
"""The last severity of `imc_noise`, and that of its noise applied twice."""

OWN_SHARE = 0.5
"""Share of the draws that are `imc_noise`'s own."""

SPREAD = 3.0
"""The wanted squared error is within a factor of √3 of the own draw's, log-uniform, but for
`SATURATING`."""

SATURATING = ("defocus", "motion_blur", "zoom", "pixelate", "jpeg", "gibbs", "undersampling")
"""Kinds whose error hardly grows any more once detail is gone, so that twice the error would be
several times the extent: of these the own draw's error is the most that is wanted, a third of it
the least."""

GRAIN_ERROR = 0.2**2
"""Squared error up to which grain above severity 5 reaches: σ .2 of full scale, as others add it
where the own scale ends at .04 to .09."""

PER_PLANE = 0.25
"""Share of grain's variants that corrupt the three planes of a grey picture each by itself, as a
maker does who takes it for a colour picture."""

TRUNCATED = 0.25
"""Share of the variants stored by cutting the fraction off instead of rounding."""

GRAINS: Mapping[str, Variant] = MappingProxyType(
    {
        "gaussian": grain.gaussian,
        "low_dose": grain.low_dose,
        "speckle": grain.speckle,
        "impulse": grain.impulse,
        "shot": grain.shot,
        "rician": grain.rician,
    }
)
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        **GRAINS,
        "motion": motion.motion,
        "ghosting": kspace.ghosting,
        "bias_field": fields.bias_field,
        "low_contrast": tone.low_contrast,
        "gamma_up": tone.gamma_up,
        "gamma_down": tone.gamma_down,
        "contrast_up": tone.contrast_up,
        "contrast_down": tone.contrast_down,
        "brightness_up": tone.brightness_up,
        "kspace_spike": kspace.kspace_spike,
        "defocus": optics.defocus,
        "motion_blur": optics.motion_blur,
        "zoom": optics.zoom,
        "pixelate": optics.pixelate,
        "jpeg": optics.jpeg,
        "gibbs": kspace.gibbs,
        "undersampling": kspace.undersampling,
        "shading": fields.shading,
    }
)
"""The variants by kind of noise; a kind that is not here has own draws alone."""

Pixels = NDArray[np.uint8]


def wider_draw(rgb: Pixels, kind: str, severity: float, rng: np.random.Generator) -> Pixels:
    """One draw of a kind of noise, by `imc_noise` or, in half of the draws, by a variant of it.

    Args:
        rgb: (H, W, 3) uint8, from one pixel.
        kind: an image noise of `imc_noise`; one without variants has own draws alone.
        severity: 1 to 5 as `imc_noise` has it; up to 6 noise on top of noise: at 5 + x the noise of
            severity 5 after one of 1 + 4x.
        rng: where every draw comes from.

    Returns:
        A new (H, W, 3) uint8 array.

    Raises:
        UnknownNoise: no image noise has that name.
        UnknownSeverity: outside 1 to 6.
        ValueError: `rgb` is no such array.
    """
    by_variant = kind in VARIANTS and rng.random() >= OWN_SHARE
    own = own_draw(rgb, kind, severity, rng)
    return variant_draw(rgb, own, kind, severity, rng) if by_variant else own


def own_draw(rgb: Pixels, kind: str, severity: float, rng: np.random.Generator) -> Pixels:
    """`imc_noise`'s own draw; above severity 5 one draw after another."""
    if not 1.0 <= severity <= ABOVE:
        raise UnknownSeverity(
            f"severity {severity:g} is off the scale; give 1 (mild) to 6 (above the strongest)"
        )
    if severity > STRONGEST:
        first = 1.0 + 4.0 * (severity - STRONGEST) / (ABOVE - STRONGEST)
        rgb = apply_image(kind, rgb, first, rng)
    return apply_image(kind, rgb, min(severity, STRONGEST), rng)


def variant_draw(
    rgb: Pixels, own: Pixels, kind: str, severity: float, rng: np.random.Generator
) -> Pixels:
    """A variant of `kind` on `rgb` at about the squared error of `own`; `own` where that is none.

    `rgb` and `own` (H, W, 3) uint8; `kind` is one of `VARIANTS`.
    """
    difference = (own.astype(np.float32) - rgb.astype(np.float32)) / np.float32(255.0)
    target = float(np.mean(difference**2)) * SPREAD ** float(rng.uniform(-0.5, 0.5))
    if kind in SATURATING:
        target /= SPREAD**0.5
    if target <= 0.0:
        return own
    if kind in GRAINS and severity > STRONGEST:
        target *= max(GRAIN_ERROR / target, 1.0) ** float(rng.random())
    cut = float(rng.random()) < TRUNCATED
    corrupt = VARIANTS[kind]

    def stored(planes: NDArray[np.float32], strength: float, rng: np.random.Generator) -> (
        NDArray[np.float32]
    ):
        noisy = corrupt(planes, strength, rng)
        # .499: what rounds to the whole grey that cutting the fraction off would keep
        return noisy - np.float32(0.499 / 255.0) if cut else noisy

    if kind in GRAINS and rng.random() < PER_PLANE:
        planes = np.moveaxis(rgb, -1, 0).astype(np.float32) / np.float32(255.0)
        levels = np.rint(stored(planes, target, rng) * np.float32(255.0))
        return np.ascontiguousarray(np.moveaxis(np.clip(levels, 0.0, 255.0), 0, -1)).astype(
            np.uint8
        )
    return corrupt_pixels(rgb, target, stored, rng)
