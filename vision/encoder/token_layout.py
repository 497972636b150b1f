"""Positions of a tile's tokens on the image: prefix tokens first, then a grid of patches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

POSITION_FEATURES = 10
"""Low-frequency cosines of the patch position: all products up to total order 3."""


@dataclass(frozen=True)
class TokenLayout:
    """The layout of the tokens of one tile."""

    tokens: int
    """All tokens of the tile."""
    prefix: int
    """Leading tokens that are no patches: CLS and registers."""
    height: int
    """Rows of patches; 0 where no grid could be inferred (neighbours are then along the row)."""
    width: int
    """Columns of patches; 0 where there is no grid."""

    @property
    def patches(self) -> int:
        """Tokens that are patches."""
        return self.tokens - self.prefix

    @property
    def has_grid(self) -> bool:
        """Whether the patches lie on a known grid."""
        return self.height > 0


def infer_layout(tokens: int, aspect: tuple[int, int] | None = None) -> TokenLayout:
    """Infer the layout of `tokens` tokens.

    `aspect` is (height, width) of the pixels that were encoded, in any unit: a grid of the same
    shape is preferred, with or without a CLS token; then a square with CLS, then a plain square.
    Four more prefix tokens (registers) are tried last.
    """
    if aspect is not None and min(aspect) > 0:
        for prefix in (0, 1, 5):
            grid = _grid_of_shape(tokens - prefix, aspect)
            if grid is not None:
                return TokenLayout(tokens, prefix, *grid)
    for prefix in (1, 0, 5):
        side = math.isqrt(max(tokens - prefix, 0))
        if side > 1 and side * side == tokens - prefix:
            return TokenLayout(tokens, prefix, side, side)
    return TokenLayout(tokens, 0, 0, 0)


def _grid_of_shape(patches: int, aspect: tuple[int, int]) -> tuple[int, int] | None:
    if patches < 4:
        return None
    height = round(math.sqrt(patches * aspect[0] / aspect[1]))
    if height < 1 or patches % height:
        return None
    width = patches // height
    # The same shape to within half a patch on the longer side.
    if abs(width * aspect[0] - height * aspect[1]) > 0.5 * max(aspect):
        return None
    return height, width


def neighbour_mean(patches: Tensor, layout: TokenLayout) -> Tensor:
    """Mean over the 3x3 neighbourhood (over three in a row where there is no grid).

    `patches` is (..., patches, dim); the result has the same shape. At borders the mean is over the
    existing neighbours.
    """
    *lead, count, dim = patches.shape
    flat = patches.reshape(-1, count, dim).transpose(1, 2)
    if layout.has_grid:
        flat = flat.reshape(-1, dim, layout.height, layout.width)
        mean = functional.avg_pool2d(flat, 3, stride=1, padding=1, count_include_pad=False)
    else:
        mean = functional.avg_pool1d(flat, 3, stride=1, padding=1, count_include_pad=False)
    return mean.reshape(-1, dim, count).transpose(1, 2).reshape(*lead, count, dim)


def position_features(layout: TokenLayout) -> Tensor:
    """Low-frequency cosines of the position, (patches, POSITION_FEATURES); zeros with no grid.

    The first column is constant one: it carries the intercept of a linear map.
    """
    if not layout.has_grid:
        features = torch.zeros(layout.patches, POSITION_FEATURES)
        features[:, 0] = 1.0
        return features
    row = (torch.arange(layout.height) + 0.5) / layout.height
    column = (torch.arange(layout.width) + 0.5) / layout.width
    columns = [
        torch.outer(torch.cos(math.pi * i * row), torch.cos(math.pi * j * column)).reshape(-1)
        for i in range(4)
        for j in range(4 - i)
    ]
    return torch.stack(columns, dim=1)
