"""The order of patches in encoders with merge blocks and attention windows, and its inverse.

Before the first block Qwen's encoders group the patches of each merged cell, and Qwen2.5-VL's also
the cells of each attention window; only the projector's output is in row order again (transformers'
`get_vision_window_index`). Neighbours and positions are undefined in that order. So taps pass
features in row order, and put returned features back into the encoder's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vision.encoder.taps import BatchIntervention


@dataclass(frozen=True)
class TokenOrder:
    """The order of an image's patches in an encoder."""

    merge: int
    """Patches along each side of a merged cell."""
    window: int
    """Cells along each side of an attention window; 0 where there are none."""

    def places(self, height: int, width: int) -> Tensor:
        """(height * width,) index in the encoder's sequence of each patch, in row order."""
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        m = self.merge
        cell_row, cell_column = row // m, column // m
        # Sort keys, the first one first.
        digits = [cell_row, cell_column, row % m, column % m]
        if self.window:
            digits = [cell_row // self.window, cell_column // self.window, *digits]
        key = torch.zeros(height * width, dtype=torch.int64)
        for digit in digits:
            key = key * (max(height, width) + 1) + digit.flatten()
        return key.argsort().argsort()

    def in_rows(self, intervene: BatchIntervention, grid: tuple[int, int]) -> BatchIntervention:
        """`intervene`, called with the patches of a `grid` (height, width) in row order."""
        height, width = grid
        cells = TokenOrder(1, self.window).places(height // self.merge, width // self.merge)
        known = {len(places): places for places in (self.places(height, width), cells)}

        def wrapped(tap: str, features: Tensor) -> Tensor | None:
            places = known.get(features.shape[2])
            if places is None:
                return intervene(tap, features)
            places = places.to(features.device)
            changed = intervene(tap, features[:, :, places])
            if changed is None:
                return None
            back = torch.empty_like(changed)
            back[:, :, places] = changed
            return back

        return wrapped


def find_order(model: Any) -> TokenOrder | None:
    """The order of patches in `model`'s encoder; None where it is row order."""
    vision: Any = getattr(getattr(model, "config", None), "vision_config", None)
    merge = getattr(vision, "spatial_merge_size", None)
    if not isinstance(merge, int) or merge < 1:
        return None
    window = 0
    if getattr(vision, "fullatt_block_indexes", None) is not None:
        window = int(vision.window_size) // merge // int(vision.patch_size)
    return TokenOrder(merge, window)


def patch_grid(tensors: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(height, width) in patches of the one still image that pixel inputs hold, where they say."""
    grid = tensors.get("image_grid_thw")
    if grid is None or grid.shape != (1, 3) or int(grid[0, 0]) != 1:
        return None
    return int(grid[0, 1]), int(grid[0, 2])
