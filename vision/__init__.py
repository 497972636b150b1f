"""Image side: reading files, encoding, noise classification, correction (PDC), drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf, Restoration
    from vision.bank.model_half import ModelHalf
    from vision.build.finished_steps import remove_steps
    from vision.build.model_half import build_model_half
    from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
    from vision.errors import BankRefused, EncoderRefused, ImageRefused
    from vision.monitor import Cause, DriftMonitor, DriftStatus
    from vision.patch_changes import ImageComparison, compare_image, heat_map, heat_overlay
    from vision.pdc import CalibratedImage, Calibrator
    from vision.perceive.content import ContentReferences
    from vision.reading.medical_image import MedicalImage, read_image
    from vision.report import CalibrationReport, NoisePerception

__all__ = [
    "AcquisitionHalf",
    "BankRefused",
    "CalibratedImage",
    "CalibrationReport",
    "Calibrator",
    "Cause",
    "ContentReferences",
    "DriftMonitor",
    "DriftStatus",
    "EncodedImage",
    "EncoderRefused",
    "ImageComparison",
    "ImageRefused",
    "MedicalImage",
    "NoisePerception",
    "ModelHalf",
    "Restoration",
    "VisionEncoder",
    "build_model_half",
    "compare_image",
    "heat_map",
    "heat_overlay",
    "read_image",
    "remove_steps",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.acquisition.half": ("AcquisitionHalf",),
        "vision.acquisition.restoration": ("Restoration",),
        "vision.bank.model_half": ("ModelHalf",),
        "vision.build.finished_steps": ("remove_steps",),
        "vision.build.model_half": ("build_model_half",),
        "vision.encoder.vision_encoder": ("EncodedImage", "VisionEncoder"),
        "vision.errors": ("BankRefused", "EncoderRefused", "ImageRefused"),
        "vision.monitor": ("Cause", "DriftMonitor", "DriftStatus"),
        "vision.patch_changes": ("ImageComparison", "compare_image", "heat_map", "heat_overlay"),
        "vision.pdc": ("CalibratedImage", "Calibrator"),
        "vision.perceive.content": ("ContentReferences",),
        "vision.reading.medical_image": ("MedicalImage", "read_image"),
        "vision.report": ("CalibrationReport", "NoisePerception"),
    },
)
