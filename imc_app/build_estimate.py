"""How long a bank takes to build and how large it becomes, estimated before it is built."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imc_app.progress import duration

if TYPE_CHECKING:
    from vision.encoder.vision_encoder import VisionEncoder
    from vision.reading.medical_image import MedicalImage

ENOUGH_FOR_ONE_DRAW = 192
"""References from which each class is drawn once; fewer are drawn twice (`vision.build.steps`)."""
PASSES = 8.0
"""Encoder passes that one drawing of one class on one image costs, the fits' work included: 8 was
measured for the embedded model, about 10 for a tower of CLIP-L's size."""
PIXEL_SECONDS = 0.03
"""Seconds of one core that the same costs in the pixels, whatever the model."""
PROBED = 2
"""Images that are encoded to measure the speed; the first one also pays for what is made once."""


def build_estimate(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    classes: Sequence[tuple[str, int]],
    *,
    rank: int,
) -> str:
    """A sentence: images, classes, time and most bytes of a build that is about to begin."""
    from vision.build.bank_size import largest_maps

    for image in images[:PROBED]:
        began = time.monotonic()
        encoder.encode(image)
    one_pass = time.monotonic() - began
    draws = len(images) * (1 if len(images) >= ENOUGH_FOR_ONE_DRAW else 2) * len(classes)
    seconds = draws * (PASSES * one_pass + PIXEL_SECONDS)
    most = largest_maps(encoder, classes, rank=rank)
    return (
        f"{len(images)} images, noise of {len(classes)} kinds and severities: about "
        f"{duration(seconds)} on this machine, within a factor of two; the maps take at most "
        f"{max(1, round(most / 1e6))} MB"
    )
