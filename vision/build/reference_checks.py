"""What references look like, before hours are spent on them.

Colour cannot tell a photograph from histology, dermatoscopy or endoscopy, which are images of
medical domains too: it is said, not refused. What can be refused (too few, near-duplicates, no
finite features) `vision.build.prototypes.build_bank` refuses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

_SIDE = 32
"""Side in pixels at which colour is looked at: marks and labels in colour vanish."""
_COLOURED = 24.0
"""Mean difference between the strongest and the weakest colour plane, of 255, from which an image
counts as coloured."""


def coloured_share(images: Sequence[MedicalImage]) -> float:
    """Share of images that are strongly coloured, 0 to 1."""
    return float(np.mean([_colour(image) > _COLOURED for image in images])) if images else 0.0


def _colour(image: MedicalImage) -> float:
    small = resize_rgb(image.rgb, (_SIDE, _SIDE)).astype(np.float64)
    return float((small.max(axis=2) - small.min(axis=2)).mean())
