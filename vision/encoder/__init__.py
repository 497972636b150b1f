"""The model's vision encoder: pixel inputs, structure, taps, token order and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.encoder.fingerprint import model_fingerprint
    from vision.encoder.pixel_inputs import PixelInputs
    from vision.encoder.stages import StageStatus, describe_stages, readable_taps
    from vision.encoder.structure import VisionStructure, find_structure
    from vision.encoder.token_layout import TokenLayout, infer_layout
    from vision.encoder.vision_encoder import EncodedImage, VisionEncoder

__all__ = [
    "EncodedImage",
    "PixelInputs",
    "StageStatus",
    "TokenLayout",
    "VisionEncoder",
    "VisionStructure",
    "describe_stages",
    "find_structure",
    "infer_layout",
    "model_fingerprint",
    "readable_taps",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.encoder.fingerprint": ("model_fingerprint",),
        "vision.encoder.pixel_inputs": ("PixelInputs",),
        "vision.encoder.stages": ("StageStatus", "describe_stages", "readable_taps"),
        "vision.encoder.structure": ("VisionStructure", "find_structure"),
        "vision.encoder.token_layout": ("TokenLayout", "infer_layout"),
        "vision.encoder.vision_encoder": ("EncodedImage", "VisionEncoder"),
    },
)
