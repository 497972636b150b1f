"""Medians of small neighbourhoods, exactly and quickly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def median(picture: Tensor, side: int) -> Tensor:
    """Of the side x side neighbourhood of (images, 1, H, W), exactly; edges replicated.

    By forgetful selection over displaced pictures (Devillard 1998): of half the planes and two the
    least and the greatest cannot be the median; they go, the next plane comes. Several times
    quicker than sorting every neighbourhood.
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
        _least_first_greatest_last(live)
        live = [*live[1:-1], *coming[:1]]
        coming = coming[1:]
    return live[0]


def _least_first_greatest_last(planes: list[Tensor]) -> None:
    """Exchange pixels between planes, in place, until the first holds the least of each."""
    last = len(planes) - 1

    def exchange(low: int, high: int) -> None:
        one, other = planes[low], planes[high]
        planes[low], planes[high] = torch.minimum(one, other), torch.maximum(one, other)

    for place in range(len(planes) // 2):
        exchange(place, last - place)
    for place in range(1, (len(planes) + 1) // 2):
        exchange(0, place)
    for place in range(len(planes) // 2, last):
        exchange(place, last)
