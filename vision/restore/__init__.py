"""The pixel stage: a closed-form estimate of the clean picture, before the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.restore.landmarks import LandmarkRegression
    from vision.restore.stripes import remove_stripes

__all__ = [
    "LandmarkRegression",
    "remove_stripes",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.restore.landmarks": ("LandmarkRegression",),
        "vision.restore.stripes": ("remove_stripes",),
    },
)
