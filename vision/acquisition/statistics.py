"""Statistics of a picture at its working size, as the acquisition half's classifiers take them."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from vision.perceive.acquisition_statistics import Floats, acquisition_statistics

_USUAL = 224.0
"""Shorter side in pixels whose logarithm counts as 0."""
_REPEATED = 6
"""The logarithm of the side enters this often: with it the kernel's length scale spans about two
working scales, so that pictures are compared with those of about their own size."""


def picture_statistics(planes: Tensor) -> Floats:
    """(p,) statistics of (planes, H, W) in [0, 1]: of the mean plane, and the size."""
    grey = planes.mean(dim=0).double().numpy()
    size = math.log(min(grey.shape) / _USUAL)
    return np.concatenate([acquisition_statistics(grey), np.full(_REPEATED, size)])
