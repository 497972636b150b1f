"""The noises, image and text, with severities: what corrupts a question before IMC sees it."""

from __future__ import annotations

from imc_noise.errors import UnknownNoise, UnknownSeverity
from imc_noise.registry import (
    CORE_IMAGE,
    CORE_TEXT,
    EXTENDED_IMAGE,
    EXTENDED_TEXT,
    NOISES,
    Modality,
    Noise,
    apply_image,
    apply_text,
    get_noise,
)
from imc_noise.seeds import Severity, noise_rng

__all__ = [
    "CORE_IMAGE",
    "CORE_TEXT",
    "EXTENDED_IMAGE",
    "EXTENDED_TEXT",
    "NOISES",
    "Modality",
    "Noise",
    "Severity",
    "UnknownNoise",
    "UnknownSeverity",
    "apply_image",
    "apply_text",
    "get_noise",
    "noise_rng",
]
