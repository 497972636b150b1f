"""Files to checked RGB: the only place where pixels are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage, read_image
    from vision.reading.resizing import resize_rgb

__all__ = ["MedicalImage", "read_image", "resize_rgb"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.reading.medical_image": ("MedicalImage", "read_image"),
        "vision.reading.resizing": ("resize_rgb",),
    },
)
