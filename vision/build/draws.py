"""Versions of the references that a model half is fitted on: noisy draws, clean views; seeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_noise import apply_image, noise_rng
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

MIN_IMAGES = 64

NATIVE_SIDES = 3
"""References are reduced to at most this many times the model's input side."""

_AT_INPUT = 0.7
"""Share of the draws to which noise is added at the model's input resolution."""
_UP_TO = 1.5
"""The other draws get it at up to this many times that resolution. At higher ones, resizing removes
most of a fine-grained noise: the model then receives a lower severity."""

_THUMBNAIL = 8
_SAME = 6.0
"""Mean absolute grey difference, of 255, below which two thumbnails are near-duplicates."""


def check_references(images: Sequence[MedicalImage]) -> None:
    """Refuse references that are too few or too alike to build a model half from.

    Raises BankRefused: fewer than `MIN_IMAGES` different images, or near-duplicates of a few.
    """
    different = len({image.sha256 for image in images})
    if different < MIN_IMAGES:
        raise BankRefused(
            f"a model half needs at least {MIN_IMAGES} different clean images, got "
            f"{different}: add more images of the domain it will serve"
        )
    thumbnails = np.stack([_thumbnail(image) for image in images])
    distinct: list[NDArray[np.float64]] = []
    for thumbnail in thumbnails:
        if all(float(np.abs(thumbnail - other).mean()) > _SAME for other in distinct):
            distinct.append(thumbnail)
    if len(distinct) < max(4, len(images) // 64):
        raise BankRefused(
            f"the {len(images)} images are near-duplicates of {len(distinct)}: a model half "
            "needs images of many patients; add others"
        )


def _thumbnail(image: MedicalImage) -> NDArray[np.float64]:
    grey = Image.fromarray(image.rgb).convert("L")
    small = grey.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def resized(image: MedicalImage, shorter: int) -> MedicalImage:
    """`image` reduced to a shorter side of `shorter` pixels; never enlarged."""
    scale = shorter / min(image.width, image.height)
    if scale >= 1.0:
        return image
    size = (max(round(image.height * scale), 1), max(round(image.width * scale), 1))
    return MedicalImage.from_rgb(resize_rgb(image.rgb, size), image.source_format)


SEVERITY_ABOVE_MAX = 6
"""Grid value of the class of noise above severity 5: the noise is applied twice."""


def noisy_draw(
    image: MedicalImage,
    kind: str,
    severity: int,
    draw: int,
    *,
    side: int | None,
    seed: int,
    spread: float = 0.5,
) -> MedicalImage:
    """One reproducible draw of a noise on `image`.

    Args:
        image: a clean reference.
        kind: a name of `imc_noise`.
        severity: grid point, 1 to 5 or `SEVERITY_ABOVE_MAX`.
        draw: number of the draw, part of the seed.
        side: the model's input side in pixels; the noise is added at this resolution or up to 1.5
            times it, so that the severity is that of the model's input. None: at the image's size.
        seed: of all draws.
        spread: half width of the uniform distribution of strengths around the grid point.
    """
    above_max = severity == SEVERITY_ABOVE_MAX
    # the name is the seed: " beyond" stays as it is, or shipped banks could not be built again
    name = f"prototype {image.sha256} {draw}{' beyond' if above_max else ''}"
    rng = noise_rng(name, kind, min(severity, 5), seed)
    strength = float(np.clip(severity + rng.uniform(-spread, spread), 1.0, 5.0))
    finer = 1.0 if rng.random() < _AT_INPUT else float(rng.uniform(1.0, _UP_TO))
    working = image if side is None else resized(image, round(side * finer))
    rgb = working.rgb
    if above_max:
        rgb = apply_image(kind, rgb, float(rng.uniform(2.0, 5.0)), rng)
    return MedicalImage.from_rgb(apply_image(kind, rgb, strength, rng), "ARRAY")


def clean_view(image: MedicalImage, view: int, *, side: int, seed: int) -> MedicalImage:
    """A clean view of a reference: 0 itself, 1 resized to `side`, from 2 on turned and cropped.

    Views widen the clean class to other orientations and crops; none of them is a noise.
    """
    if view == 0:
        return image
    if view == 1:
        return resized(image, side)
    rng = noise_rng(f"view {image.sha256} {view}", "clean", 1, seed)
    turned = np.rot90(image.rgb, int(rng.integers(4)))
    if rng.integers(2):
        turned = turned[:, ::-1]
    height, width = turned.shape[:2]
    keep = float(rng.uniform(0.75, 1.0))
    rows, columns = max(round(height * keep), 8), max(round(width * keep), 8)
    top = int(rng.integers(max(height - rows, 0) + 1))
    left = int(rng.integers(max(width - columns, 0) + 1))
    view_rgb = np.ascontiguousarray(turned[top : top + rows, left : left + columns])
    return MedicalImage.from_rgb(view_rgb, image.source_format)
