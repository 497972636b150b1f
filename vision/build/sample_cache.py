"""Bounded caches of what several steps of a build compute from the references.

Noisy draws, which the noise classifier, the pixel stage and the calibration maps are all fitted on;
and features of clean references, the targets of the maps of every class.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vision.reading.medical_image import MedicalImage

ROOM = 512_000_000
"""Default limit in bytes; what does not fit is computed each time."""

Key = tuple[str, int, int, int]
"""(kind, severity, draw, number of the reference)."""


class DrawCache:
    """Noisy draws by key, up to `room` bytes."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._planes: dict[Key, NDArray[np.uint8]] = {}

    def get(self, key: Key, draw: Callable[[], MedicalImage]) -> MedicalImage:
        """The draw of `key`, made by `draw` where it is not cached."""
        planes = self._planes.get(key)
        if planes is not None:
            return MedicalImage.from_rgb(np.broadcast_to(planes, (*planes.shape[:2], 3)), "ARRAY")
        image = draw()
        rgb = image.rgb
        # one plane of a grey picture, all three of a coloured one
        grey = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
        kept = rgb[..., :1].copy() if grey else rgb
        if kept.nbytes <= self.room:
            self.room -= kept.nbytes
            self._planes[key] = kept
        return image


class FeatureCache:
    """Clean features by tap and number of the reference, up to `room` bytes."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._found: dict[tuple[str, int], Tensor] = {}

    def get(self, tap: str, number: int) -> Tensor | None:
        """The cached features, or None."""
        return self._found.get((tap, number))

    def keep(self, tap: str, number: int, features: Tensor) -> None:
        """Cache a copy, if it fits."""
        if (tap, number) not in self._found and features.nbytes <= self.room:
            self.room -= features.nbytes
            # a view would hold the whole batch
            self._found[tap, number] = features.clone()
