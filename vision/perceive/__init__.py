"""Noise classification from statistics of pixels and tokens: posterior and conformal p-value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.perceive.image_statistics import ImageStatistics, compute_statistics
    from vision.perceive.noise_classifier import (
        NoiseClassifier,
        NoisePosterior,
        fit_noise_classifier,
    )

__all__ = [
    "ImageStatistics",
    "NoiseClassifier",
    "NoisePosterior",
    "compute_statistics",
    "fit_noise_classifier",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.perceive.image_statistics": ("ImageStatistics", "compute_statistics"),
        "vision.perceive.noise_classifier": (
            "NoiseClassifier",
            "NoisePosterior",
            "fit_noise_classifier",
        ),
    },
)
