"""What a bank is built from: clean references and noisy draws of them, each reproducible."""

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
"""References are kept at no more than this many times the model's input side."""

_AT_INPUT = 0.7
"""Share of the draws corrupted at the model's very input resolution, ..."""
_UP_TO = 1.5
"""... the others at up to this many times it. Beyond, resizing takes most of a fine-grained noise
away: to the model it is a milder one, which a lower severity describes."""

_THUMBNAIL = 8
_SAME = 6.0
"""Mean absolute grey difference of two thumbnails under which images are near-duplicates."""


def check_references(images: Sequence[MedicalImage]) -> None:
    """Refuse references that cannot carry a bank.

    Raises BankRefused: fewer than 64 different images, or near-duplicates of very few.
    """
    different = len({image.sha256 for image in images})
    if different < MIN_IMAGES:
        raise BankRefused(
            f"a prototype bank needs at least {MIN_IMAGES} different clean images, got "
            f"{different}: add more images of the domain it will serve"
        )
    thumbnails = np.stack([_thumbnail(image) for image in images])
    distinct: list[NDArray[np.float64]] = []
    for thumbnail in thumbnails:
        if all(float(np.abs(thumbnail - other).mean()) > _SAME for other in distinct):
            distinct.append(thumbnail)
    if len(distinct) < max(4, len(images) // 64):
        raise BankRefused(
            f"the {len(images)} images are near-duplicates of {len(distinct)}: a prototype bank "
            "needs images of many patients; add others"
        )


def _thumbnail(image: MedicalImage) -> NDArray[np.float64]:
    grey = Image.fromarray(image.rgb).convert("L")
    small = grey.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def resized(image: MedicalImage, shorter: int) -> MedicalImage:
    """`image` with its shorter side brought down to `shorter` pixels (never up)."""
    scale = shorter / min(image.width, image.height)
    if scale >= 1.0:
        return image
    size = (max(round(image.height * scale), 1), max(round(image.width * scale), 1))
    return MedicalImage.from_rgb(resize_rgb(image.rgb, size), image.source_format)


BEYOND = 6
"""The class of noise stronger than severity 5: the strongest, upon a first helping of itself."""


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
    """One draw of a noise on `image`, its strength varied by up to `spread` around the grid point.

    The image is corrupted at or a little over the model's input `side`, so that severity means what
    the model sees; with None it is corrupted at its own size.
    """
    beyond = severity == BEYOND
    name = f"prototype {image.sha256} {draw}{' beyond' if beyond else ''}"
    rng = noise_rng(name, kind, min(severity, 5), seed)
    strength = float(np.clip(severity + rng.uniform(-spread, spread), 1.0, 5.0))
    finer = 1.0 if rng.random() < _AT_INPUT else float(rng.uniform(1.0, _UP_TO))
    working = image if side is None else resized(image, round(side * finer))
    rgb = working.rgb
    if beyond:
        rgb = apply_image(kind, rgb, float(rng.uniform(2.0, 5.0)), rng)
    return MedicalImage.from_rgb(apply_image(kind, rgb, strength, rng), "ARRAY")


def clean_view(image: MedicalImage, view: int, *, side: int, seed: int) -> MedicalImage:
    """A clean variation of a reference: as it is, resized, then turned and cropped ones.

    They widen what counts as clean to other framings; nothing that a noise does is done.
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
