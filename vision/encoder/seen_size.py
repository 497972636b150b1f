"""The size in pixels at which a model sees a picture, before it is cut into tiles or patches.

Families differ in how they resize (one square, the shorter edge, tiles of a canvas, crops, a number
of patches). So the size is measured: the model's own processor prepares a probe picture of the same
size, whose red rises from left to right and whose green from top to bottom. How fast they rise in a
tile gives the factor by which the picture was resized for that tile; its blue is full everywhere,
which tells the picture from padding. Where tiles show the picture at several resolutions, the
finest counts. Models that take single patches state their grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from vision.encoder.token_order import patch_grid
from vision.reading.medical_image import MedicalImage

LARGEST_SIDE = 672
"""Shorter side in pixels above which pictures are not restored: a change for a larger picture is
computed at this size and enlarged."""
LARGEST_AREA = 3 * LARGEST_SIDE**2
"""The same in pixels, for long strips: bounds time and memory."""
MIN_SIDE = 16
"""Pictures with a shorter side than this are not restored."""

_PROBE_SIDE = 2 * LARGEST_SIDE
"""Larger pictures are probed at this shorter side: the working size is the same, at less cost."""
_PROBE_AREA = 4 * _PROBE_SIDE**2
_CACHED = 1024
"""Most sizes that are remembered."""
_FULL = 0.02
"""Tolerance around full blue, as a share of full scale: two steps of rounding and resampling."""
_RISE, _TILT = 239.0, 16.0
"""Grey levels by which a colour rises along its side, and along the other, which spreads errors of
rounding so that a mean has little of them."""
_FEWEST = 4
"""Fewest rows and columns of a tile from which a factor is measured."""
_FINEST = 0.9
"""Tiles at which the whole picture would have at least this share of the most pixels are finest."""


def working_size(own: tuple[int, int], seen: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) in pixels at which a picture is restored.

    Args:
        own: (height, width) of the picture.
        seen: the size at which the model sees it; None: unknown, its own size counts.

    Returns:
        `seen`, each side at most `own` (enlarging adds no information); reduced to a shorter side
        of at most `LARGEST_SIDE` and to at most `LARGEST_AREA` pixels.
    """
    size = own if seen is None else (min(own[0], seen[0]), min(own[1], seen[1]))
    return _scaled(size, _largest_scale(size, LARGEST_SIDE, LARGEST_AREA))


class SeenSizes:
    """Measures the size at which a model sees a picture, by its own processor."""

    def __init__(
        self,
        process: Callable[[MedicalImage], Mapping[str, Tensor]],
        patch_side: int | None = None,
    ) -> None:
        """Prepare for one model.

        Args:
            process: one picture -> the tensors that the model's processor makes of it.
            patch_side: side in pixels of the patches of models that take single patches, if known.
        """
        self._process = process
        self._patch_side = patch_side
        self.measure = lru_cache(maxsize=_CACHED)(self._measure)
        """(height, width) of a picture -> (height, width) at which the model sees it.

        Larger than the picture's own where the processor enlarges. None where it cannot be
        measured: the processor makes neither tiles of pixels nor a stated grid of patches.
        """

    def _measure(self, height: int, width: int) -> tuple[int, int] | None:
        scale = _largest_scale((height, width), _PROBE_SIDE, _PROBE_AREA)
        tensors = self._process(_probe(*_scaled((height, width), scale)))
        grid = patch_grid(tensors)
        if grid is not None:
            side = self._patch_side
            return None if side is None else (grid[0] * side, grid[1] * side)
        tiles = _tiles(tensors)
        if tiles is None or self._grey_range is None:
            return None
        return _finest([size for tile in tiles if (size := _shown(tile, *self._grey_range))])

    @cached_property
    def _grey_range(self) -> tuple[Tensor, Tensor] | None:
        """(3,) what the processor makes of black, and of white; None where it makes no tiles."""
        found = []
        for value in (0, 255):
            picture = np.full((64, 64, 3), value, dtype=np.uint8)
            tiles = _tiles(self._process(MedicalImage.from_rgb(picture)))
            if tiles is None:
                return None
            # the median: padding has no weight
            found.append(tiles[0].flatten(1).median(dim=1).values)
        return (found[0], found[1]) if bool((found[1] - found[0] > 0).all()) else None


def _largest_scale(own: tuple[int, int], side: int, area: int) -> float:
    return min(1.0, side / min(own), math.sqrt(area / (own[0] * own[1])))


def _scaled(own: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(own[0] * scale)), max(1, round(own[1] * scale))


def _probe(height: int, width: int) -> MedicalImage:
    """Red rises along the width, green along the height, both a little along the other side."""
    down = ((np.arange(height) + 0.5) / height)[:, None]
    right = ((np.arange(width) + 0.5) / width)[None, :]
    rgb = np.full((height, width, 3), 255, dtype=np.uint8)
    rgb[:, :, 0] = np.rint(_RISE * right + _TILT * down)
    rgb[:, :, 1] = np.rint(_RISE * down + _TILT * right)
    return MedicalImage.from_rgb(rgb)


def _tiles(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """(tiles, 3, H, W) pixels, where the tensors hold such."""
    for tensor in tensors.values():
        if tensor.is_floating_point() and tensor.dim() >= 4 and tensor.shape[-3] == 3:
            return tensor.reshape(-1, *tensor.shape[-3:])
    return None


def _shown(tile: Tensor, black: Tensor, white: Tensor) -> tuple[float, float, int, int] | None:
    """What one tile (3, H, W) of the probe shows.

    Returns (height, width) in pixels of the whole probe at the tile's resolution, and the numbers
    of rows and columns that show it; None where they are too few, or all show one place.
    """
    inside = (tile[2] - white[2]).abs() < _FULL * (white[2] - black[2])
    rows = inside.any(dim=1).nonzero().flatten()
    columns = inside.any(dim=0).nonzero().flatten()
    if len(rows) < _FEWEST or len(columns) < _FEWEST:
        return None
    part = tile[:, rows[:, None], columns].double()
    level = (white - black).double() / 255.0
    height = _length(part[1].mean(dim=1) / level[1])
    width = _length(part[0].mean(dim=0) / level[0])
    if height is None or width is None:
        return None
    return height, width, len(rows), len(columns)


def _length(profile: Tensor) -> float | None:
    """Pixels over which a profile (n,) rises by `_RISE` levels, by least squares; None: it is flat.

    Its ends are left out: resampling is not linear at the borders of the picture.
    """
    inner = profile[len(profile) // 8 : len(profile) - len(profile) // 8]
    at = torch.arange(len(inner), dtype=torch.float64)
    at -= at.mean()
    slope = float((at * inner).sum() / at.square().sum())
    return _RISE / slope if slope > 1e-3 else None


def _finest(shown: list[tuple[float, float, int, int]]) -> tuple[int, int] | None:
    """The size of the finest tiles; each side from the tile that shows the longest part of it."""
    if not shown:
        return None
    most = max(height * width for height, width, _, _ in shown)
    finest = [one for one in shown if one[0] * one[1] >= _FINEST * most]
    height = max(finest, key=lambda one: one[2])[0]
    width = max(finest, key=lambda one: one[3])[1]
    return max(1, round(height)), max(1, round(width))
