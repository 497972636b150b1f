"""Working sizes and scales: the resolution at which a picture is classified and restored."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vision.encoder.seen_size import MIN_SIDE, working_size
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

SCALES = (112, 224, 336, 448, 672)
"""Shorter sides in pixels for which maps are fitted; a picture takes those of the nearest, in
logarithm, to its own shorter side."""

__all__ = ["MIN_SIDE", "SCALES", "planes_of", "scale_index", "working_size"]


def scale_index(shorter: float) -> int:
    """Index in `SCALES` of the one nearest to a shorter side, in logarithm."""
    away = [abs(math.log(shorter / scale)) for scale in SCALES]
    return away.index(min(away))


def planes_of(image: MedicalImage, size: tuple[int, int]) -> Tensor:
    """(planes, H, W) in [0, 1] at `size`: one plane of a grey picture, three of a coloured one."""
    rgb = image.rgb
    if (image.height, image.width) != size:
        rgb = resize_rgb(rgb, size)
    grey = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
    kept = rgb[..., :1] if grey else rgb
    planes = np.ascontiguousarray(kept.transpose(2, 0, 1)).astype(np.float32)
    return torch.from_numpy(planes) / 255.0
