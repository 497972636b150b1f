"""What is computed of references again and again, kept while there is room.

Noisy draws: perception, the pixel stage and the cascade each look at the same ones. Features of
clean references: what the maps of every class aim at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vision.reading.medical_image import MedicalImage

ROOM = 512_000_000
"""Bytes of pictures that are kept; those after them are drawn anew each time."""

Key = tuple[str, int, int, int]
"""(kind, severity, draw, number of the reference)."""


class KeptDraws:
    """Draws by key, up to a bounded size."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._planes: dict[Key, NDArray[np.uint8]] = {}

    def get(self, key: Key, draw: Callable[[], MedicalImage]) -> MedicalImage:
        """The draw of `key`, made by `draw` where it is not kept."""
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


class KeptFeatures:
    """Features by tap and number of the reference, up to a bounded size."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._found: dict[tuple[str, int], Tensor] = {}

    def get(self, tap: str, number: int) -> Tensor | None:
        """What is kept, or None."""
        return self._found.get((tap, number))

    def keep(self, tap: str, number: int, features: Tensor) -> None:
        """Keep a copy, where there is room."""
        if (tap, number) not in self._found and features.nbytes <= self.room:
            self.room -= features.nbytes
            # a view would hold the whole batch
            self._found[tap, number] = features.clone()
