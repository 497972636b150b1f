"""The feature stage: closed-form maps that correct the tokens at a tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.calibrate.class_maps import ClassMaps, calibration_weights
    from vision.calibrate.clean_distance import CleanDistance
    from vision.calibrate.moments import FittedMap, Moments
    from vision.calibrate.token_context import FeatureScaler

__all__ = [
    "ClassMaps",
    "CleanDistance",
    "FeatureScaler",
    "FittedMap",
    "Moments",
    "calibration_weights",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.calibrate.class_maps": ("ClassMaps", "calibration_weights",),
        "vision.calibrate.clean_distance": ("CleanDistance",),
        "vision.calibrate.moments": ("FittedMap", "Moments",),
        "vision.calibrate.token_context": ("FeatureScaler",),
    },
)
