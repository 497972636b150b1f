"""One encoder pass over noisy draws of the references: its inputs, and what is kept per tap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.token_layout import TokenLayout
from vision.encoder.token_statistics import token_statistics
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder

BATCH = 32


@dataclass(frozen=True)
class PreparedDraws:
    """Versions of references, preprocessed for the encoder."""

    numbers: list[int]
    """Number of the reference that each is a version of."""
    inputs: list[PixelInputs]

    def batches(self, encoder: VisionEncoder) -> Iterator[tuple[list[int], PixelInputs]]:
        """(positions, stacked inputs), at most `BATCH` images each."""
        for start in range(0, len(self.inputs), BATCH):
            for positions, inputs in encoder.group(self.inputs[start : start + BATCH]):
                yield [start + position for position in positions], inputs


@dataclass
class TapStatistics:
    """What one pass over a class's draws keeps of one tap."""

    moments: Moments | None = None
    """None where no draw has as many tokens as its reference."""
    sample: list[tuple[Tensor, TokenLayout]] = field(default_factory=list)
    """Features (images, tiles, tokens, dim) of some draws."""

    def statistics(self, scaler: FeatureScaler, fitted: FittedMap | None = None) -> Tensor:
        """(n, s) token statistics of the sampled draws, after `fitted` if it is given."""
        return torch.cat(
            [
                token_statistics(
                    hidden if fitted is None else apply_map(hidden, layout, scaler, fitted),
                    layout,
                )
                for hidden, layout in self.sample
            ]
        )


def apply_map(
    features: Tensor, layout: TokenLayout, scaler: FeatureScaler, fitted: FittedMap
) -> Tensor:
    """Features (images, tiles, tokens, dim) with the map's change added to the patches."""
    if not fitted.rank:
        return features
    context = scaler.context(features, layout, size=len(fitted.left))
    change = ((context @ fitted.left) @ fitted.right) * scaler.scale
    changed = features.clone()
    changed[:, :, layout.prefix :] += change
    return changed
