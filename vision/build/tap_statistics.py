"""One pass of a bank's draws through the encoder: what went in, what was seen at the taps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import Standard
from vision.encoder.token_layout import TokenLayout
from vision.encoder.token_statistics import token_statistics
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder

BATCH = 32


@dataclass(frozen=True)
class Drawn:
    """Prepared versions of references."""

    numbers: list[int]
    """Which reference each is a version of."""
    inputs: list[PixelInputs]

    def batches(self, encoder: VisionEncoder) -> Iterator[tuple[list[int], PixelInputs]]:
        """(positions, stacked inputs), at most a batch at a time."""
        for start in range(0, len(self.inputs), BATCH):
            for positions, inputs in encoder.group(self.inputs[start : start + BATCH]):
                yield [start + position for position in positions], inputs


@dataclass
class Reached:
    """What one pass over a class's draws saw at one tap."""

    moments: Moments | None = None
    """None where no draw has the tokens of its reference."""
    sample: list[tuple[Tensor, TokenLayout]] = field(default_factory=list)
    """Features (images, tiles, tokens, dim) of some draws."""

    def statistics(self, standard: Standard, fitted: FittedMap | None = None) -> Tensor:
        """(n, s) of the sampled draws, changed by a map or as they are."""
        return torch.cat(
            [
                token_statistics(
                    hidden if fitted is None else apply_map(hidden, layout, standard, fitted),
                    layout,
                )
                for hidden, layout in self.sample
            ]
        )


def apply_map(
    features: Tensor, layout: TokenLayout, standard: Standard, fitted: FittedMap
) -> Tensor:
    """Features (images, tiles, tokens, dim) with one map's change added to the patches."""
    if not fitted.rank:
        return features
    change = ((standard.context(features, layout) @ fitted.left) @ fitted.right) * standard.scale
    changed = features.clone()
    changed[:, :, layout.prefix :] += change
    return changed
