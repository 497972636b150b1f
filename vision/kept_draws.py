"""Noisy draws of references, kept while there is room: perception, the pixel stage and the cascade
each look at the same ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vision.reading import MedicalImage

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
