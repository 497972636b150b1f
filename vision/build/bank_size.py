"""An upper bound on the size of a bank's maps, before it is built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vision.build.prototypes import calibration_taps
from vision.encoder.token_layout import POSITION_FEATURES, infer_layout
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

_STORED = 2
"""Bytes of a stored value: half precision."""
_PROBE = 64
"""Side in pixels of the blank image from which the sizes of the taps are read."""


def largest_maps(encoder: VisionEncoder, classes: Sequence[tuple[str, int]], *, rank: int) -> int:
    """Bytes of a bank's calibration maps if every class has one of full `rank` at every tap.

    Most classes have fewer. The noise classifiers and the pixel stage add a few megabytes.
    """
    taps = calibration_taps(encoder)
    if not taps:
        return 0
    sizes: dict[str, int] = {}

    def measure(tap: str, features: Tensor) -> None:
        if tap in taps:
            tokens, dim = features.shape[2:]
            parts = 4 if infer_layout(tokens, inputs.aspect).prefix else 3
            sizes[tap] = min(rank, dim) * ((parts + 1) * dim + POSITION_FEATURES)

    blank = np.zeros((_PROBE, _PROBE, 3), dtype=np.uint8)
    inputs = encoder.prepare(MedicalImage.from_rgb(blank))
    with torch.inference_mode():
        encoder.visit(inputs, measure, last_tap=taps[-1])
    maps = len(classes) + 1  # and the one of all classes together
    return _STORED * maps * sum(sizes.values())
