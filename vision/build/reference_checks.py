"""A check of the references' colour before a long build.

Strong colour does not separate photographs from histology, dermatoscopy or endoscopy, so it is
reported, not refused. Too few references, near-duplicates and features that are not finite are
refused by `vision.build.model_half.build_model_half`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

_SIDE = 32
"""Side in pixels at which colour is measured: small coloured marks and labels average out."""
_COLOURED = 24.0
"""Mean difference between the largest and the smallest colour value of a pixel, of 255, above which
an image counts as coloured."""


def coloured_share(images: Sequence[MedicalImage]) -> float:
    """Share of images that are strongly coloured, 0 to 1."""
    return float(np.mean([_colour(image) > _COLOURED for image in images])) if images else 0.0


def _colour(image: MedicalImage) -> float:
    small = resize_rgb(image.rgb, (_SIDE, _SIDE)).astype(np.float64)
    return float((small.max(axis=2) - small.min(axis=2)).mean())
