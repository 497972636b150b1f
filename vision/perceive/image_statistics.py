"""What both witnesses see of images: the first tap's token statistics, the pixels' own."""

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
class Sight:
    """Statistics of n images."""

    pixels: Floats
    """(n, p)."""
    tokens: Tensor | None
    """(n, s) of the perception tap; None where the tower cannot be tapped."""
    finite: Tensor
    """(n,) whether every feature at the tap is a finite number."""

    @property
    def statistics(self) -> dict[str, Floats]:
        """By witness, as a `Perceiver` takes them."""
        if self.tokens is None:
            return {"pixels": self.pixels}
        return {"encoder": self.tokens.double().numpy(), "pixels": self.pixels}


def look(encoder: VisionEncoder, images: Sequence[MedicalImage], *, side: int, tap: str) -> Sight:
    """Look at images: pixels at `side`, the encoder as far as `tap` (`""`: pixels alone)."""
    pixels = np.stack([acquisition_statistics(grey_image(image.rgb, side)) for image in images])
    finite = torch.ones(len(images), dtype=torch.bool)
    if not tap:
        return Sight(pixels, None, finite)
    found: dict[int, Tensor] = {}
    for positions, inputs in encoder.group(encoder.prepare_many(images)):
        seen: list[Tensor] = []

        def keep(name: str, features: Tensor, seen: list[Tensor] = seen) -> None:
            if name == tap:
                seen.append(features.detach().float().cpu())

        encoder.visit(inputs, keep, last_tap=tap)
        if not seen:  # hooks met nothing that they can read: the pixels witness alone
            return Sight(pixels, None, finite)
        hidden = seen[0]
        finite[positions] = torch.isfinite(hidden).flatten(1).all(dim=1)
        clean_of_nan = torch.nan_to_num(hidden, nan=0.0, posinf=0.0, neginf=0.0)
        layout = infer_layout(hidden.shape[2], inputs.aspect)
        found.update(zip(positions, token_statistics(clean_of_nan, layout), strict=True))
    return Sight(pixels, torch.stack([found[i] for i in range(len(images))]), finite)
