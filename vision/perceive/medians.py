"""Exact medians of small neighbourhoods."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def median(picture: Tensor, side: int) -> Tensor:
    """Median over the side x side neighbourhood of each pixel of (images, 1, H, W).

    Edges are replicated. Forgetful selection over displaced pictures (Devillard 1998): among half
    the planes plus two, the minimum and the maximum cannot be the median; both are dropped and the
    next plane is added. Several times faster than sorting every neighbourhood.
    """
    radius = side // 2
    padded = F.pad(picture, (radius,) * 4, mode="replicate")
    height, width = picture.shape[2:]
    planes = [
        padded[:, :, top : top + height, left : left + width]
        for top in range(side)
        for left in range(side)
    ]
    held = len(planes) // 2 + 2
    live, coming = planes[:held], planes[held:]
    while len(live) > 1:
        _move_extremes_to_ends(live)
        live = [*live[1:-1], *coming[:1]]
        coming = coming[1:]
    return live[0]


def _move_extremes_to_ends(planes: list[Tensor]) -> None:
    """Swap pixels between planes, in place: minima into the first plane, maxima into the last."""
    last = len(planes) - 1

    def swap(low: int, high: int) -> None:
        one, other = planes[low], planes[high]
        planes[low], planes[high] = torch.minimum(one, other), torch.maximum(one, other)

    for place in range(len(planes) // 2):
        swap(place, last - place)
    for place in range(1, (len(planes) + 1) // 2):
        swap(0, place)
    for place in range(len(planes) // 2, last):
        swap(place, last)
