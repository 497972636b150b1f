"""Statistics of images for the noise classifier: of pixels, and of tokens at the first tap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vision.encoder.token_layout import infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.encoder.vision_encoder import VisionEncoder
from vision.perceive.acquisition_statistics import acquisition_statistics, grey_image
from vision.perceive.noise_classifier import Floats
from vision.reading.medical_image import MedicalImage


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of n images, the input of a `NoiseClassifier`."""

    pixels: Floats
    """(n, p) acquisition statistics."""
    tokens: Tensor | None
    """(n, s) token statistics at the perception tap; None where the encoder has no readable tap."""
    finite: Tensor
    """(n,) bool: whether every feature at the tap is finite."""

    @property
    def by_source(self) -> dict[str, Floats]:
        """Arrays (n, p) by source: `pixels`, and `encoder` where there are token statistics."""
        if self.tokens is None:
            return {"pixels": self.pixels}
        return {"encoder": self.tokens.double().numpy(), "pixels": self.pixels}


def compute_statistics(
    encoder: VisionEncoder, images: Sequence[MedicalImage], *, side: int, tap: str
) -> ImageStatistics:
    """Compute pixel statistics, and token statistics with one partial pass of the encoder.

    Args:
        encoder: run as far as `tap`.
        images: n images.
        side: pixels; the grey image is resized to (side, side) for the acquisition statistics.
        tap: the perception tap; `""` for pixel statistics alone.
    """
    pixels = np.stack([acquisition_statistics(grey_image(image.rgb, side)) for image in images])
    finite = torch.ones(len(images), dtype=torch.bool)
    if not tap:
        return ImageStatistics(pixels, None, finite)
    found: dict[int, Tensor] = {}
    for positions, inputs in encoder.group(encoder.prepare_many(images)):
        at_tap: list[Tensor] = []

        def keep(name: str, features: Tensor, at_tap: list[Tensor] = at_tap) -> None:
            if name == tap:
                at_tap.append(features.detach().float().cpu())

        encoder.visit(inputs, keep, last_tap=tap)
        if not at_tap:  # the hook received nothing that can be read as tokens: pixels alone
            return ImageStatistics(pixels, None, finite)
        hidden = at_tap[0]
        finite[positions] = torch.isfinite(hidden).flatten(1).all(dim=1)
        without_nan = torch.nan_to_num(hidden, nan=0.0, posinf=0.0, neginf=0.0)
        layout = infer_layout(hidden.shape[2], inputs.aspect)
        found.update(zip(positions, token_statistics(without_nan, layout), strict=True))
    return ImageStatistics(pixels, torch.stack([found[i] for i in range(len(images))]), finite)
