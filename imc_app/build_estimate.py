"""How long a model half takes to build, estimated before it is built."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imc_app.progress import duration

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf
    from vision.encoder.vision_encoder import VisionEncoder
    from vision.reading.medical_image import MedicalImage

PROBED = 2
"""Images that are encoded and restored to measure the speed; the first also pays for what is made
once."""


def build_estimate(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    acquisition: AcquisitionHalf,
    jobs: int,
) -> str:
    """A sentence: images, classes and time of a build that is about to begin, by so many jobs."""
    from vision.build.domain.restorer_fit import MAPS_OF, PROTOTYPES_OF, restored_kinds
    from vision.build.domain.trials import EACH
    from vision.build.model_half_steps import Counts

    counts = Counts.of(len(images), tokens=256)
    for image in images[:PROBED]:
        began = time.monotonic()
        encoder.encode(image)
        encoded = time.monotonic()
        size = encoder.working_size(image.height, image.width)
        acquisition.restore_batch([image], [size], alpha=1.0 - 1e-9, max_rounds=1)
        restored = time.monotonic() - encoded
    one_pass = encoded - began
    classes = len(acquisition.classes)
    restored_by_it = restored_kinds(acquisition.classes)
    own = sum(kind in restored_by_it for kind, _ in acquisition.classes)
    # every draw is encoded, those for the maps once more when they are restored; others are
    # restored to see what is left
    encoded_in_all = classes * (counts.witness + counts.maps) * one_pass
    restored_in_all = classes * (counts.maps + min(EACH, len(images))) * restored
    # a draw for the domain's restorer is corrupted and described: about a quarter of a restoration
    fitted = own * (min(MAPS_OF, len(images)) + 1.5 * min(PROTOTYPES_OF, len(images))) * restored
    # what is restored on a GPU is not shared; a kind is fitted by one worker
    seconds = encoded_in_all + restored_in_all / (1 if acquisition.on_gpu else jobs)
    seconds += fitted / 4.0 / max(1, min(jobs, len(restored_by_it)))
    return (
        f"{len(images)} images, noise of {classes - 1} kinds and severities: about "
        f"{duration(seconds)} on this machine, within a factor of two"
    )
