"""Noise classification from statistics of pixels and tokens: posterior and conformal p-value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.perceive.content import ContentReferences
    from vision.perceive.encoder_witness import EncoderWitness
    from vision.perceive.noise_density import NoisePosterior
    from vision.perceive.pixel_classifier import PixelClassifier

__all__ = [
    "ContentReferences",
    "EncoderWitness",
    "NoisePosterior",
    "PixelClassifier",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.perceive.content": ("ContentReferences",),
        "vision.perceive.encoder_witness": ("EncoderWitness",),
        "vision.perceive.noise_density": ("NoisePosterior",),
        "vision.perceive.pixel_classifier": ("PixelClassifier",),
    },
)
